"""Probe queries: what a collection must answer the same before and after it is served."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.checks.exactness import TIE_TOLERANCE
from rabtriever_core.index.search import search

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.index.query_tower import QueryTower


def choose_probes(
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
    probes = []
    for text, margins in zip(texts, tower.encode(texts).margins(stored), strict=True):
        least = margins.max() - TIE_TOLERANCE * np.abs(margins).max()
        probes.append(
            {"query": text, "expected": sorted(ids[r] for r in np.flatnonzero(margins >= least))}
        )
    return probes


def check_probes(
    client: "QdrantClient",
    collection: str,
    tower: "QueryTower",
    probes: list[dict[str, Any]],
) -> None:
    """Ask the probe queries of a collection or alias.

    Raises:
        IndexMismatchError: one gets another document first than the model's.
    """
    encoded = tower.encode([probe["query"] for probe in probes])
    for probe, hits in zip(probes, search(client, collection, encoded, 1), strict=True):
        first = hits[0].document_id if hits else None
        if first not in probe["expected"]:
            raise IndexMismatchError(
                f"{collection} answers {probe['query'][:80]!r} with {first!r}, the "
                f"model with {probe['expected']}: delete the collection, then "
                "`rabtriever run qdrant_collection --force`"
            )


def recorded_probes(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The probe queries of a `collection.json`; it once called them canaries."""
    probes: list[dict[str, Any]] = record.get("probe_queries") or record["canaries"]
    return probes
