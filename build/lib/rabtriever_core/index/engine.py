"""Qdrant's own engine in process: what a graph and quantized vectors cost in recall, size and time.

The engine (`qdrant-edge-py`, optional) holds the interpreter's lock while it builds the graph, so
it runs in a process of its own: `python -m rabtriever_core.index.engine <folder>`.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from rabtriever_core.errors import IndexMismatchError, IndexUnavailableError
from rabtriever_core.index.vectors import check_queries, check_vectors

_UPSERT = 1000
_PARTS = {
    "vectors": "vector_storage/*.dat",
    "quantized": "vector_storage/quantized.data",
    "graph": "vector_index/*.bin",
}
"""Files of what grows with the number of vectors; flags of deleted ones are preallocated."""

TURBO8_EXTRA_BYTES = 4
"""A float32 that Qdrant stores beside a vector's codes of one byte each."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Build(_Part):
    """How an index is built."""

    datatype: Literal["float32", "float16", "turbo8"] = "float32"
    """What the vectors themselves are stored as; turbo8 (TurboQuant) rotates, then rounds to a byte
    each."""
    quantization: Literal["none", "int8", "binary", "turbo4"] = "none"
    """What is kept in memory besides, to search with."""
    m: int = Field(16, ge=1)
    """Edges per node of the graph."""
    ef_construct: int = Field(100, ge=1)
    """Candidates while building."""


class Search(_Part):
    """How an index is searched."""

    k: int = Field(10, ge=1)
    """Depth."""
    exact: bool = False
    """Compare with every stored vector: neither graph nor quantized vectors are used."""
    ef: int = Field(128, ge=1)
    """Candidates while walking the graph."""
    rescore: bool = False
    """Score what quantized vectors found anew with the stored ones."""
    oversampling: float = Field(1.0, ge=1)
    """Candidates per hit that are scored anew."""


class Found(_Part):
    """What a search found, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    rows: npt.NDArray[np.int64]
    """Row numbers of the hits, best first: [n, k]."""
    scores: npt.NDArray[np.float32]
    """The engine's scores of them: [n, k]."""
    p50_ms: float
    """Median of a query."""


class Measured(_Part):
    """An index and its searches."""

    searches: tuple[Found, ...]
    bytes_per_vector: dict[str, float]
    """Size on disk of `vectors`, `quantized` vectors and `graph`, over the number of vectors."""


def run_engine(
    vectors: np.ndarray,
    queries: np.ndarray,
    build: Build,
    searches: Sequence[Search],
    timeout_seconds: float = 1800.0,
) -> Measured:
    """Build an index of the vectors and search it in several ways.

    Args:
        vectors: float32 [m, d].
        queries: float32 [n, d]; use real ones, recall on noise says nothing.
        build: how.
        searches: how; no deeper than there are vectors.
        timeout_seconds: bound of the whole measurement.

    Raises:
        VectorError: a vector is not finite (the engine itself would take it and rank wrongly).
        IndexUnavailableError: the engine is not installed.
        IndexMismatchError: the engine failed, or did not index the vectors.
    """
    if importlib.util.find_spec("qdrant_edge") is None:
        raise IndexUnavailableError(
            "measuring the index needs qdrant-edge-py, which is not installed: "
            "pip install 'rabtriever[edge]'"
        )
    check_vectors(vectors, vectors.shape[-1], [str(row) for row in range(len(vectors))])
    check_queries(queries, vectors.shape[1])
    with tempfile.TemporaryDirectory(prefix="rabtriever-engine-") as name:
        folder = Path(name)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries)
        options = {
            "build": build.model_dump(),
            "searches": [
                search.model_copy(update={"k": min(search.k, len(vectors))}).model_dump()
                for search in searches
            ],
        }
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        process = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "rabtriever_core.index.engine", name],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise IndexMismatchError(
                f"the engine's measurement of {len(vectors)} vectors failed "
                f"(exit code {process.returncode}): {reason}"
            )
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found = tuple(
            Found(
                rows=np.load(folder / f"rows-{number}.npy"),
                scores=np.load(folder / f"scores-{number}.npy"),
                p50_ms=p50,
            )
            for number, p50 in enumerate(result["p50_ms"])
        )
    return Measured(searches=found, bytes_per_vector=result["bytes_per_vector"])


def _measure(folder: Path) -> dict[str, Any]:
    """The subprocess's part: build, check that the graph exists, search."""
    import qdrant_edge as edge

    vectors, queries = np.load(folder / "vectors.npy"), np.load(folder / "queries.npy")
    options = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    build = Build.model_validate(options["build"])
    storage = folder / "shard"
    storage.mkdir()
    shard = edge.EdgeShard.create(str(storage), _config(edge, build, vectors.shape[1]))
    for start in range(0, len(vectors), _UPSERT):
        rows = range(start, min(start + _UPSERT, len(vectors)))
        points = [edge.Point(row, vectors[row].tolist()) for row in rows]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    indexed = shard.info().indexed_vectors_count
    if indexed < len(vectors):
        raise IndexMismatchError(f"only {indexed} of {len(vectors)} vectors are in the graph")
    times = []
    for number, search in enumerate(map(Search.model_validate, options["searches"])):
        found, scores, p50 = _search(edge, shard, queries, search)
        np.save(folder / f"rows-{number}.npy", found)
        np.save(folder / f"scores-{number}.npy", scores)
        times.append(p50)
    shard.flush()
    shard.close()
    sizes = {part: _indexed_bytes(storage, part) / len(vectors) for part in _PARTS}
    return {"p50_ms": times, "bytes_per_vector": sizes}


def _config(edge: Any, build: Build, dimension: int) -> Any:
    quantized: dict[str, Callable[[], Any]] = {
        "none": lambda: None,
        "int8": lambda: edge.ScalarQuantizationConfig(type=edge.ScalarType.Int8),
        "binary": lambda: edge.BinaryQuantizationConfig(
            query_encoding=edge.BinaryQuantizationQueryEncoding.Scalar8Bits
        ),
        "turbo4": lambda: edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits4),
    }
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(
            size=dimension,
            distance=edge.Distance.Dot,
            datatype=getattr(edge.VectorStorageDatatype, build.datatype.capitalize()),
            quantization_config=quantized[build.quantization](),
            # In KB: the lowest values, so that even a small collection gets and uses its graph.
            hnsw_config=edge.HnswIndexConfig(
                m=build.m, ef_construct=build.ef_construct, full_scan_threshold=1
            ),
        ),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1),
    )


def _search(
    edge: Any, shard: Any, queries: np.ndarray, search: Search
) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows and scores of every query's hits [n, k], and the median milliseconds of a query."""
    params = edge.SearchParams(
        exact=search.exact,
        hnsw_ef=search.ef,
        quantization=edge.QuantizationSearchParams(
            rescore=search.rescore, oversampling=search.oversampling
        ),
    )
    # A graph may end before k hits: -1 is no row, and no score is lower.
    rows = np.full((len(queries), search.k), -1, dtype=np.int64)
    scores = np.full((len(queries), search.k), -np.inf, dtype=np.float32)
    seconds = []
    for number, query in enumerate(queries):
        request = edge.SearchRequest(
            query=edge.Query.Nearest(query.tolist()), limit=search.k, params=params
        )
        started = time.perf_counter()
        hits = shard.search(request)
        seconds.append(time.perf_counter() - started)
        rows[number, : len(hits)] = [hit.id for hit in hits]
        scores[number, : len(hits)] = [hit.score for hit in hits]
    return rows, scores, float(np.median(seconds) * 1000)


def _indexed_bytes(storage: Path, part: str) -> int:
    """Bytes of a part in segments that have a graph (others are preallocated and empty)."""
    return sum(
        path.stat().st_size
        for graph in storage.glob("segments/*/vector_index")
        for path in graph.parent.glob(_PARTS[part])
        if path.is_file() and path.name != "deleted.dat"
    )


def main() -> None:
    """Measure what lies in the folder named on the command line; write result.json there."""
    folder = Path(sys.argv[1])
    (folder / "result.json").write_text(json.dumps(_measure(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
