"""Whether a collection ranks as the model behind it does."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.index.checks.exactness import (
    TIE_TOLERANCE,
    Ranking,
    max_score_difference,
    spread,
    top_k_agreement,
    top_k_recall,
)
from rabtriever_core.index.hybrid import combined, hybrid_search
from rabtriever_core.index.lexical import Lexical
from rabtriever_core.index.quantization import search_params
from rabtriever_core.index.search import search
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.bm25_vectors import TermVectors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import SearchParams

    from rabtriever_core.index.query_tower import QueryTower, QueryVectors

logger = logging.getLogger(__name__)

DEPTH = 10
"""Places compared."""
_QUERIES_AT_ONCE = 50
# Documents encoded afresh to compare with the stored vectors: all of a small corpus, a sample of
# a large one, where encoding everything twice would double the cost of the build.
_MAX_FRESH_DOCUMENTS = 5_000


@dataclass(frozen=True)
class Agreement:
    """How near a collection is to its model; the named losses are those of settings that ask."""

    top10: float
    """Share of the top ten on which index and model agree, the model with as many dimensions as
    the index has: 1.0 unless something is broken."""
    truncation_recall: float | None = None
    """Share of the whole model's top ten that the remaining dimensions find; None where all
    remain."""
    served_recall: float | None = None
    """Share of the index's exact top ten that applications get from graph and quantized vectors;
    None where they search exactly, or in local mode, which always does."""

    def losses(self) -> dict[str, float]:
        """Those that there are, by the names they are reported under."""
        named = {
            "truncation_recall@10": self.truncation_recall,
            "served_recall@10": self.served_recall,
        }
        return {name: value for name, value in named.items() if value is not None}


def agreement_with_model(
    client: "QdrantClient",
    physical: str,
    tower: "QueryTower",
    texts: list[str],
    documents: Sequence[Document],
    embeddings: StoredDocuments,
    index: IndexConfig,
    lexical: tuple[Lexical, TermVectors] | None = None,
) -> Agreement:
    """Compare rankings link by link: Qdrant, uploaded vectors, student's vectors, student.

    Args:
        client: Qdrant.
        physical: the collection.
        tower: its query tower.
        texts: n queries.
        documents: all m documents of the collection.
        embeddings: what the collection was built from.
        index: how applications search.
        lexical: query and document side of the collection's BM25, where it has it.

    Returns:
        `top10` is the lowest of its links' shares: Qdrant against the uploaded vectors, these
        against the student's where no dimension was dropped, and these against documents encoded
        afresh, to the precision that these are computed with; and Qdrant's sums of margin and
        BM25, of some queries, against ours.
    """
    ids, vectors = embeddings.ids, embeddings.vectors(tower.student)
    phi = tower.student.encode_queries(texts)
    encoded = tower.place(phi)
    changed = not tower.gauge.is_identity
    stored = embeddings.stored(tower) if changed else vectors
    shares, kept, served = [], [], []
    for start in range(0, len(texts), _QUERIES_AT_ONCE):  # bounds the margins held at once
        rows = slice(start, start + _QUERIES_AT_ONCE)
        part, margins = encoded[rows], encoded[rows].margins(stored)
        exact = _rankings(client, physical, part, search_params(index, exact=True))
        shares += [top_k_agreement(exact, margins, ids, DEPTH)] * len(part)
        logger.debug("scores differ by %.2e", max_score_difference(exact, margins, ids))
        if changed:
            whole, ours = phi[rows] @ vectors.T, _best(margins, ids)
            if tower.gauge.is_exact:
                shares.append(top_k_agreement(ours, whole, ids, DEPTH))
            else:
                kept += [top_k_recall(ours, whole, ids, DEPTH)] * len(part)
        if index.url and not index.exact:
            asked = _rankings(client, physical, part, search_params(index))
            served += [top_k_recall(asked, margins, ids, DEPTH)] * len(part)
    fresh_rows = spread(range(len(documents)), _MAX_FRESH_DOCUMENTS)
    sample = [ids[row] for row in fresh_rows]
    ranked = _best(phi @ vectors[fresh_rows].T, sample)
    fresh = tower.student.margin(texts, [documents[row] for row in fresh_rows])
    tolerance = max(TIE_TOLERANCE, tower.student.encoder.rounding)
    agreed = top_k_agreement(ranked, fresh, sample, DEPTH, tolerance)
    both = 1.0
    if lexical is not None:
        # Local mode takes long for BM25: some are enough to see what is wrong.
        some = spread(texts, _QUERIES_AT_ONCE)
        both = _sums_agree(client, physical, tower, some, ids, stored, lexical)
    return Agreement(
        top10=min(float(np.mean(shares)), agreed, both),
        truncation_recall=float(np.mean(kept)) if kept else None,
        served_recall=float(np.mean(served)) if served else None,
    )


def _sums_agree(
    client: "QdrantClient",
    physical: str,
    tower: "QueryTower",
    texts: Sequence[str],
    ids: Sequence[str],
    stored: np.ndarray,
    lexical: tuple[Lexical, TermVectors],
) -> float:
    """Share of the top ten by margin + weight · BM25 on which Qdrant and numpy agree."""
    side, words = lexical
    encoded = tower.encode(texts)
    sums = encoded.margins(stored) + side.weight * words.scores(side.vocabulary.counts(texts))
    found = hybrid_search(client, physical, encoded, texts, side, DEPTH)
    rankings = [[(hit.document_id, combined(hit, side.weight)) for hit in hits] for hits in found]
    return top_k_agreement(rankings, sums, ids, DEPTH)


def _rankings(
    client: "QdrantClient", physical: str, queries: "QueryVectors", params: "SearchParams"
) -> list[Ranking]:
    hits = search(client, physical, queries, DEPTH, params)
    return [[(hit.document_id, hit.margin) for hit in ranking] for ranking in hits]


def _best(margins: np.ndarray, ids: Sequence[str]) -> list[Ranking]:
    """The first documents by margins [n, m]."""
    order = np.argsort(-margins, axis=1, kind="stable")[:, :DEPTH]
    return [
        [(ids[column], float(scores[column])) for column in columns]
        for columns, scores in zip(order, margins, strict=True)
    ]
