"""Whether a collection ranks as the model behind it does."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.exactness import max_score_difference, spread, top_k_agreement
from rabtriever_core.index.search import search

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.models.retriever import Rabtriever

logger = logging.getLogger(__name__)

DEPTH = 10
"""Places compared."""
_QUERIES_AT_ONCE = 50
# Documents encoded afresh to compare with the stored vectors: all of a small corpus, a sample of
# a large one, where encoding everything twice would double the cost of the build.
_MAX_FRESH_DOCUMENTS = 5_000


def agreement_with_model(
    client: "QdrantClient",
    physical: str,
    student: "Rabtriever",
    texts: list[str],
    documents: Sequence[Document],
    vectors: np.ndarray,
) -> float:
    """Top-10 agreement of Qdrant with the stored vectors, and of those with the model.

    Args:
        client: Qdrant.
        physical: the collection.
        student: the model.
        texts: n queries.
        documents: all m documents of the collection.
        vectors: their stored vectors, float32 [m, d].

    Returns:
        The lower of two shares: the first covers all documents, the second those encoded afresh.
    """
    ids = [d.id for d in documents]
    encoded = student.encode_queries(texts)
    shares = []
    for start in range(0, len(texts), _QUERIES_AT_ONCE):  # bounds the margins held at once
        part = encoded[start : start + _QUERIES_AT_ONCE]
        hits = search(client, physical, part, DEPTH)
        rankings = [[(hit.document_id, hit.margin) for hit in ranking] for ranking in hits]
        margins = part @ vectors.T
        shares += [top_k_agreement(rankings, margins, ids, DEPTH)] * len(part)
        logger.debug("scores differ by %.2e", max_score_difference(rankings, margins, ids))
    rows = spread(range(len(documents)), _MAX_FRESH_DOCUMENTS)
    stored = encoded @ vectors[rows].T
    order = np.argsort(-stored, axis=1, kind="stable")[:, :DEPTH]
    sample = [ids[row] for row in rows]
    ranked = [
        [(sample[c], float(scores[c])) for c in columns]
        for columns, scores in zip(order, stored, strict=True)
    ]
    fresh = student.margin(texts, [documents[row] for row in rows])
    return min(float(np.mean(shares)), top_k_agreement(ranked, fresh, sample, DEPTH))
