"""Recall and speed of Qdrant's HNSW graph on our vectors, measured on its own engine."""

import numpy as np

from rabtriever_core.index.engine import Build, Search, run_engine


def hnsw_recall(
    vectors: np.ndarray,
    queries: np.ndarray,
    k: int = 10,
    *,
    m: int = 16,
    ef_construct: int = 100,
    ef: int = 128,
    timeout_seconds: float = 1800.0,
) -> dict[str, float]:
    """Compare approximate with exact search on the real engine.

    Args:
        vectors: float32 [documents, d].
        queries: float32 [n, d]; use real ones, recall on noise says nothing.
        k: depth.
        m: edges per node of the graph.
        ef_construct: candidates while building.
        ef: candidates while searching.
        timeout_seconds: bound of the whole measurement.

    Returns:
        `recall@<k>`, `p50_ms` and `exact_p50_ms` per query, `bytes_per_vector` (vectors and graph).

    Raises:
        VectorError: a vector is not finite (the engine itself would take it and rank wrongly).
        IndexUnavailableError: the engine is not installed.
        IndexMismatchError: the engine failed, or did not index the vectors.
    """
    measured = run_engine(
        vectors,
        queries,
        Build(m=m, ef_construct=ef_construct),
        (Search(k=k, ef=ef), Search(k=k, exact=True)),
        timeout_seconds,
    )
    approximate, exact = measured.searches
    # By score, not by id: a document that ties with the last exact one is as good.
    found = [
        np.mean(ours >= best[-1] - 1e-6 * abs(best[0]))
        for ours, best in zip(approximate.scores, exact.scores, strict=True)
    ]
    return {
        f"recall@{k}": float(np.mean(found)),
        "p50_ms": approximate.p50_ms,
        "exact_p50_ms": exact.p50_ms,
        "bytes_per_vector": sum(measured.bytes_per_vector.values()),
    }
