"""Training queries and the corpus as token ids, tokenized once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.models.text_encoder import TextPrompt


@dataclass(frozen=True)
class Examples:
    """The queries of a split that have labels, the whole corpus, and which pairs are relevant."""

    queries: Sequence[str]
    documents: Sequence[Document]
    query_ids: Sequence[list[int]]
    document_ids: Sequence[list[int]]
    relevant: Sequence[frozenset[int]]
    """Document numbers relevant to every query."""
    template_ids: frozenset[int] = frozenset()
    """Token ids of the prompt's fixed parts."""
    language: str = "auto"
    """Of the texts (`dataset.language`)."""
    left_out: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Query number → document numbers that its rankings leave out (`Dataset.left_out`). They are
    neither right nor wrong, so no loss may count them as negatives."""

    @classmethod
    def of(cls, dataset: Dataset, split: str, prompt: TextPrompt) -> "Examples":
        """Tokenize a split of a data set."""
        number = {document.id: i for i, document in enumerate(dataset.documents)}
        left_out = dataset.left_out
        ids = dataset.split_queries(split)
        queries = [dataset.queries[id_] for id_ in ids]
        return cls(
            queries,
            dataset.documents,
            prompt.queries(queries),
            prompt.documents(dataset.documents),
            [frozenset(number[d] for d in dataset.relevant(split, id_)) for id_ in ids],
            prompt.template_ids,
            dataset.language,
            {
                i: frozenset(number[d] for d in left_out[id_])
                for i, id_ in enumerate(ids)
                if id_ in left_out
            },
        )

    def tokenized(self, prompt: TextPrompt) -> "Examples":
        """The same queries and documents as another model reads them."""
        return replace(
            self,
            query_ids=prompt.queries(self.queries),
            document_ids=prompt.documents(self.documents),
            template_ids=prompt.template_ids,
        )

    def only(self, queries: npt.NDArray[np.int64]) -> "Examples":
        """Some of the queries, with the whole corpus."""
        numbers = queries.tolist()
        return replace(
            self,
            queries=[self.queries[q] for q in numbers],
            query_ids=[self.query_ids[q] for q in numbers],
            relevant=[self.relevant[q] for q in numbers],
            left_out={i: self.left_out[q] for i, q in enumerate(numbers) if q in self.left_out},
        )

    def over(self, documents: npt.NDArray[np.int64]) -> "Examples":
        """The same queries over some of the documents, numbered anew in the order given."""
        numbers = documents.tolist()
        anew = {number: i for i, number in enumerate(numbers)}

        def kept(some: frozenset[int]) -> frozenset[int]:
            return frozenset(anew[d] for d in some if d in anew)

        return replace(
            self,
            documents=[self.documents[d] for d in numbers],
            document_ids=[self.document_ids[d] for d in numbers],
            relevant=[kept(right) for right in self.relevant],
            left_out={query: kept(away) for query, away in self.left_out.items()},
        )

    @cached_property
    def relevant_documents(self) -> npt.NDArray[np.int64]:
        """Numbers of the documents that are relevant to some training query, sorted.

        Only these serve as negatives. A document that is never a positive would teach the model to
        reject it whatever the query, and it would not be found when its query comes.
        """
        return np.array(sorted(set().union(*self.relevant)), dtype=np.int64)

    @cached_property
    def relevant_to_some(self) -> npt.NDArray[np.bool_]:
        """Which of the m documents are relevant to some training query: [m]."""
        return np.isin(np.arange(len(self.documents)), self.relevant_documents)

    def thin(
        self, rows: Sequence[list[int]], share: float, rng: np.random.Generator
    ) -> list[list[int]]:
        """Leave out a random share of the text's tokens, never those of the template.

        A small model trained from scratch would otherwise memorize whole sentences, and not see
        that a new sentence is made of words it knows.
        """
        if not share:
            return list(rows)
        template = self.template_ids
        return [
            [
                i
                for i, lot in zip(row, rng.random(len(row)), strict=True)
                if lot >= share or i in template
            ]
            for row in rows
        ]

    def thinned_queries(
        self, queries: Iterable[int], share: float, rng: np.random.Generator
    ) -> list[list[int]]:
        """Token ids of queries, a share of them left out."""
        return self.thin([self.query_ids[q] for q in queries], share, rng)

    def thinned_documents(
        self, documents: Iterable[int], share: float, rng: np.random.Generator
    ) -> list[list[int]]:
        """Token ids of documents, a share of them left out."""
        return self.thin([self.document_ids[d] for d in documents], share, rng)

    def positives(self, queries: Sequence[int], rng: np.random.Generator) -> list[int]:
        """One relevant document of every query."""
        return [int(rng.choice(sorted(self.relevant[q]))) for q in queries]

    def relevance(self, queries: Sequence[int], documents: Sequence[int]) -> np.ndarray:
        """Boolean [queries, documents]: which pairs are relevant."""
        return np.array([[d in self.relevant[q] for d in documents] for q in queries])

    def counted(
        self,
        queries: Sequence[int] | npt.NDArray[np.int64],
        documents: Sequence[int] | npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """Boolean [queries, documents]: which pairs are right or wrong, and not left out."""
        counted = np.ones((len(queries), len(documents)), dtype=np.bool_)
        for row, query in zip(counted, queries, strict=True):
            if away := self.left_out.get(int(query)):
                row[np.isin(documents, sorted(away))] = False
        return counted
