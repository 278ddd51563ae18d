"""Training queries and the corpus as token ids, tokenized once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.models.prompt import Prompt


@dataclass(frozen=True)
class Examples:
    """The judged queries of a split, the whole corpus, and which pairs are relevant."""

    queries: Sequence[str]
    documents: Sequence[Document]
    query_ids: Sequence[list[int]]
    document_ids: Sequence[list[int]]
    relevant: Sequence[frozenset[int]]
    """Document numbers relevant to every query."""

    @classmethod
    def of(cls, dataset: Dataset, split: str, prompt: Prompt) -> "Examples":
        """Tokenize a split of a data set."""
        number = {document.id: i for i, document in enumerate(dataset.documents)}
        ids = dataset.split_queries(split)
        queries = [dataset.queries[id_] for id_ in ids]
        return cls(
            queries,
            dataset.documents,
            prompt.queries(queries),
            prompt.documents(dataset.documents),
            [frozenset(number[d] for d in dataset.relevant(split, id_)) for id_ in ids],
        )

    def positives(self, queries: Sequence[int], rng: np.random.Generator) -> list[int]:
        """One relevant document of every query."""
        return [int(rng.choice(sorted(self.relevant[q]))) for q in queries]

    def relevance(self, queries: Sequence[int], documents: Sequence[int]) -> np.ndarray:
        """Boolean [queries, documents]: which pairs are relevant."""
        return np.array([[d in self.relevant[q] for d in documents] for q in queries])
