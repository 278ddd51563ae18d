"""Recall and speed of Qdrant's HNSW graph on our vectors, measured on its own engine.

The engine (`qdrant-edge-py`, optional) holds the interpreter's lock while it builds the graph, so
it runs in a process of its own: `python -m rabtriever_core.index.hnsw <folder>`.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.errors import IndexMismatchError, IndexUnavailableError
from rabtriever_core.index.vectors import check_queries, check_vectors

_UPSERT = 1000


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
    if importlib.util.find_spec("qdrant_edge") is None:
        raise IndexUnavailableError(
            "the HNSW measurement needs qdrant-edge-py, which is not installed: "
            "pip install 'rabtriever[edge]'"
        )
    check_vectors(vectors, vectors.shape[-1], [str(row) for row in range(len(vectors))])
    check_queries(queries, vectors.shape[1])
    with tempfile.TemporaryDirectory(prefix="rabtriever-hnsw-") as name:
        folder = Path(name)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries)
        options = {"k": min(k, len(vectors)), "m": m, "ef_construct": ef_construct, "ef": ef}
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        process = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "rabtriever_core.index.hnsw", name],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise IndexMismatchError(
                f"the HNSW measurement of {len(vectors)} vectors failed "
                f"(exit code {process.returncode}): {reason}"
            )
        result: dict[str, float] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    result[f"recall@{k}"] = result.pop("recall")
    return result


def _measure(folder: Path) -> dict[str, float]:
    """The subprocess's part: build, check that the graph exists, search both ways."""
    import qdrant_edge as edge

    vectors, queries = np.load(folder / "vectors.npy"), np.load(folder / "queries.npy")
    options = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    storage = folder / "shard"
    storage.mkdir()
    graph = edge.HnswIndexConfig(
        # In KB: the lowest values, so that even a small collection gets and uses its graph.
        m=options["m"],
        ef_construct=options["ef_construct"],
        full_scan_threshold=1,
    )
    shard = edge.EdgeShard.create(
        str(storage),
        edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(
                size=vectors.shape[1], distance=edge.Distance.Dot, hnsw_config=graph
            ),
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1),
        ),
    )
    for start in range(0, len(vectors), _UPSERT):
        rows = range(start, min(start + _UPSERT, len(vectors)))
        points = [edge.Point(row, vectors[row].tolist()) for row in rows]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    indexed = shard.info().indexed_vectors_count
    if indexed < len(vectors):
        raise IndexMismatchError(f"only {indexed} of {len(vectors)} vectors are in the graph")
    approximate, p50 = _search(edge, shard, queries, options, exact=False)
    exact, exact_p50 = _search(edge, shard, queries, options, exact=True)
    shard.flush()
    shard.close()
    # By score, not by id: a document that ties with the last exact one is as good.
    found = [
        np.sum(np.array(ours) >= best[-1] - 1e-6 * abs(best[0])) / len(best)
        for ours, best in zip(approximate, exact, strict=True)
    ]
    return {
        "recall": float(np.mean(found)),
        "p50_ms": p50,
        "exact_p50_ms": exact_p50,
        "bytes_per_vector": _indexed_bytes(storage) / len(vectors),
    }


def _search(
    edge: Any, shard: Any, queries: np.ndarray, options: dict[str, int], *, exact: bool
) -> tuple[list[list[float]], float]:
    """Scores of every query's hits, and the median milliseconds of a query."""
    params = edge.SearchParams(exact=exact, hnsw_ef=options["ef"])
    scores, seconds = [], []
    for query in queries:
        request = edge.SearchRequest(
            query=edge.Query.Nearest(query.tolist()), limit=options["k"], params=params
        )
        started = time.perf_counter()
        hits = shard.search(request)
        seconds.append(time.perf_counter() - started)
        scores.append([hit.score for hit in hits])
    return scores, float(np.median(seconds) * 1000)


def _indexed_bytes(storage: Path) -> int:
    """Bytes of vectors and graph in segments that have one (others are preallocated and empty)."""
    return sum(
        path.stat().st_size
        for graph in storage.glob("segments/*/vector_index")
        for part in (graph, graph.with_name("vector_storage"))
        for path in part.rglob("*")
        if path.is_file()
    )


def main() -> None:
    """Measure what lies in the folder named on the command line; write result.json there."""
    folder = Path(sys.argv[1])
    (folder / "result.json").write_text(json.dumps(_measure(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
