"""The compared systems, each as one function from query texts to scored documents."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.evaluation.metrics import ranking, run_from_scores
from rabtriever_core.index.hybrid import combined, hybrid_search
from rabtriever_core.index.search import search
from rabtriever_core.models.apart import Apart
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.bm25 import Bm25

if TYPE_CHECKING:
    import torch
    from qdrant_client import QdrantClient
    from qdrant_client.models import SearchParams

    from rabtriever_core.index.lexical import Lexical
    from rabtriever_core.index.query_tower import QueryEncoder
    from rabtriever_core.models.base_reranker import Reranker

Ranker = Callable[[Sequence[str]], list[dict[str, float]]]
"""Query texts in; per query, document id → score of its best documents out."""

_BLOCK = 256
"""Queries whose scores of all documents are held at once."""
_DOCUMENTS_PER_BATCH = 64


def bm25_ranker(documents: Sequence[Document], depth: int, language: str = "auto") -> Ranker:
    """BM25 over all documents, in their language (`dataset.language`)."""
    index = Bm25.fit(documents, language)
    return score_ranker(index.scores, [d.id for d in documents], depth)


def popularity_ranker(dataset: Dataset, train_split: str, depth: int) -> Ranker:
    """The documents most often right in training, whatever is asked: what any query must beat."""
    ids = [document.id for document in dataset.documents]
    counts = Counter(
        document
        for query in dataset.split_queries(train_split)
        for document in dataset.relevant(train_split, query)
    )
    scores = np.array([counts[id_] for id_ in ids], dtype=np.float32)
    return score_ranker(lambda queries: np.tile(scores, (len(queries), 1)), ids, depth)


def vector_ranker(
    encode_queries: Callable[[Sequence[str]], Floats],
    ids: Sequence[str],
    vectors: Floats,
    depth: int,
) -> Ranker:
    """Dot product with stored document vectors [m, d], compared with every one."""
    return score_ranker(lambda queries: encode_queries(queries) @ vectors.T, ids, depth)


def teacher_ranker(teacher: "Reranker", documents: Sequence[Document], depth: int) -> Ranker:
    """The teacher, or another reranker in its place, over all documents.

    Many queries share each document's states; a single one is answered with the documents in
    batches, as a service would.
    """
    ids = [d.id for d in documents]
    known = KnownDocuments.of(teacher, documents)

    def rank(queries: Sequence[str]) -> list[dict[str, float]]:
        if len(queries) == 1:
            margins = known.margins(queries[0])[None]
        else:
            margins = teacher.margins(queries, documents, progress=True)
        return _best(ids, margins, depth)

    return rank


def reranker(
    teacher: "Reranker", documents: Sequence[Document], retrieve: Ranker, candidates: int
) -> Ranker:
    """A reranker over the best `candidates` of another system, for pools too large for it."""
    known = KnownDocuments.of(teacher, documents)
    row = {document.id: number for number, document in enumerate(documents)}

    def rank(queries: Sequence[str]) -> list[dict[str, float]]:
        best = [ranking(retrieved)[:candidates] for retrieved in retrieve(queries)]
        if len(queries) == 1:
            margins = known.margins(queries[0], [row[id_] for id_ in best[0]])
            return [dict(zip(best[0], map(float, margins), strict=True))]
        names = [str(row) for row in range(len(queries))]
        found = completed(
            teacher,
            documents,
            {name: {} for name in names},
            dict(zip(names, best, strict=True)),
            dict(zip(names, queries, strict=True)),
        )
        return list(found.values())

    return rank


def vector_reranker(
    encode_queries: Callable[[Sequence[str]], Floats],
    ids: Sequence[str],
    vectors: Floats,
    retrieve: Ranker,
    candidates: int,
) -> Ranker:
    """Dot product with the stored vectors [m, d] of another system's best `candidates`."""
    rows = {id_: row for row, id_ in enumerate(ids)}

    def rank(queries: Sequence[str]) -> list[dict[str, float]]:
        best = [ranking(retrieved)[:candidates] for retrieved in retrieve(queries)]
        encoded = encode_queries(queries)
        return [
            dict(zip(found, map(float, vectors[[rows[id_] for id_ in found]] @ query), strict=True))
            for found, query in zip(best, encoded, strict=True)
        ]

    return rank


def completed(
    teacher: "Reranker",
    documents: Sequence[Document],
    run: Mapping[str, Mapping[str, float]],
    wanted: Mapping[str, Iterable[str]],
    texts: Mapping[str, str],
) -> dict[str, dict[str, float]]:
    """The teacher's run with the margins of documents that its rankings left out.

    They are read in batches in which a document is read once for all its queries.

    Args:
        teacher: the model.
        documents: the pool.
        run: query → document → margin.
        wanted: query → documents that must be there.
        texts: query → its text.
    """
    whole = {query: dict(margins) for query, margins in run.items()}
    absent = [(q, id_) for q, ids in wanted.items() for id_ in ids if id_ not in whole[q]]
    if not absent:
        return whole
    needed = {id_ for _, id_ in absent}
    distinct = [document for document in documents if document.id in needed]
    number = {document.id: row for row, document in enumerate(distinct)}
    # A pair is a query with one candidate: what is absent may differ from query to query.
    margins = teacher.candidate_margins(
        [texts[query] for query, _ in absent],
        distinct,
        np.array([[number[id_]] for _, id_ in absent], dtype=np.int64),
        "reranker",
    )
    for (query, id_), margin in zip(absent, margins[:, 0], strict=True):
        whole[query][id_] = float(margin)
    return whole


def qdrant_ranker(
    encoder: "QueryEncoder",
    client: "QdrantClient",
    collection: str,
    depth: int,
    params: "SearchParams",
) -> Ranker:
    """The student as applications use it: query tower, then Qdrant."""

    def rank(queries: Sequence[str]) -> list[dict[str, float]]:
        rankings = search(client, collection, encoder.encode(queries), depth, params)
        return [{hit.document_id: hit.margin for hit in hits} for hits in rankings]

    return rank


def hybrid_ranker(
    encoder: "QueryEncoder",
    lexical: "Lexical",
    client: "QdrantClient",
    collection: str,
    depth: int,
    params: "SearchParams",
) -> Ranker:
    """Student and BM25 as applications use them where the collection has both."""

    def rank(queries: Sequence[str]) -> list[dict[str, float]]:
        encoded = encoder.encode(queries)
        rankings = hybrid_search(client, collection, encoded, queries, lexical, depth, params)
        weight = lexical.weight
        return [{hit.document_id: combined(hit, weight) for hit in hits} for hits in rankings]

    return rank


@dataclass(frozen=True)
class KnownDocuments:
    """Documents that a reranker reads with one query at a time, prepared before it comes."""

    teacher: "Reranker"
    tokens: Sequence[Sequence[int]]
    """Token ids of the m documents."""
    e_d: "torch.Tensor | None"
    """What another encoder makes of them [m, d]."""

    @classmethod
    def of(cls, teacher: "Reranker", documents: Sequence[Document]) -> "KnownDocuments":
        """Prepare documents."""
        tokens = teacher.backbone.prompt.documents(documents)
        return cls(teacher, tokens, teacher.documents_apart(documents))

    def margins(self, query: str, rows: Sequence[int] | None = None) -> Floats:
        """Margins of one query with all documents, or some rows [r], in batches of like length."""
        import torch

        teacher = self.teacher
        asked = range(len(self.tokens)) if rows is None else rows
        tokens = teacher.backbone.prompt.queries([query])
        margins = np.zeros(len(asked), dtype=np.float32)
        order = sorted(range(len(asked)), key=lambda i: len(self.tokens[asked[i]]))
        with torch.inference_mode():
            e_q = teacher.queries_apart([query], tokens)
            apart = None if e_q is None else Apart(e_q, self.e_d)
            for start in range(0, len(order), _DOCUMENTS_PER_BATCH):
                batch = order[start : start + _DOCUMENTS_PER_BATCH]
                documents = [asked[i] for i in batch]
                numbers, zeros = range(len(batch)), [0] * len(batch)
                states, read = teacher.pair_states(
                    [self.tokens[d] for d in documents], tokens, numbers, zeros
                )
                scores = teacher.scores(
                    states, None if apart is None else apart.pairs(zeros, documents, read, numbers)
                )
                margins[batch] = scores.cpu().numpy()
        return margins


def score_ranker(
    scores: Callable[[Sequence[str]], Floats], ids: Sequence[str], depth: int
) -> Ranker:
    """Any scorer of query texts against all documents [n, m]."""

    def rank(queries: Sequence[str]) -> list[dict[str, float]]:
        ranked = []
        for start in range(0, len(queries), _BLOCK):
            block = queries[start : start + _BLOCK]
            ranked += _best(ids, scores(block), depth)
        return ranked

    return rank


def _best(ids: Sequence[str], scores: Floats, depth: int) -> list[dict[str, float]]:
    names = [str(row) for row in range(len(scores))]
    return list(run_from_scores(names, ids, scores, depth).values())
