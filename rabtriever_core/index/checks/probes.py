"""Canary queries: known answers that a collection must give before and after it is served."""

from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.checks.exactness import TIE_TOLERANCE
from rabtriever_core.index.search import search

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.index.query_tower import QueryTower


def choose_canaries(
    tower: "QueryTower", texts: list[str], ids: list[str], stored: np.ndarray
) -> list[dict[str, Any]]:
    """Pair queries with the documents that may come first (several only where margins tie).

    Args:
        tower: the model.
        texts: the queries.
        ids: the m document ids.
        stored: their vectors as uploaded, float32 [m, k].

    Returns:
        One `{"query": text, "expected": [document ids]}` per query.
    """
    canaries = []
    for text, margins in zip(texts, tower.encode(texts).margins(stored), strict=True):
        least = margins.max() - TIE_TOLERANCE * np.abs(margins).max()
        canaries.append(
            {"query": text, "expected": sorted(ids[r] for r in np.flatnonzero(margins >= least))}
        )
    return canaries


def check_canaries(
    client: "QdrantClient",
    collection: str,
    tower: "QueryTower",
    canaries: list[dict[str, Any]],
) -> None:
    """Ask the canaries of a collection or alias.

    Raises:
        IndexMismatchError: one gets another document first than the model's.
    """
    encoded = tower.encode([canary["query"] for canary in canaries])
    for canary, hits in zip(canaries, search(client, collection, encoded, 1), strict=True):
        first = hits[0].document_id if hits else None
        if first not in canary["expected"]:
            raise IndexMismatchError(
                f"{collection} answers {canary['query'][:80]!r} with {first!r}, the "
                f"model with {canary['expected']}: delete the collection and materialize "
                "`qdrant_collection` again"
            )
