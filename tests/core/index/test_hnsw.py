"""HNSW on Qdrant's own engine."""

import importlib.util

import numpy as np
import pytest

from rabtriever_core.errors import IndexMismatchError, IndexUnavailableError, VectorError
from rabtriever_core.index.hnsw import hnsw_recall

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("qdrant_edge") is None,
    reason="qdrant-edge-py is not installed: pip install 'rabtriever[edge]'",
)


def _clustered(rows: int, seed: int) -> np.ndarray:
    centres = np.random.default_rng(0).standard_normal((50, 64))
    rng = np.random.default_rng(seed)
    noise = 0.4 * rng.standard_normal((rows, 64))
    return (centres[rng.integers(0, 50, rows)] + noise).astype(np.float32)


@needs_engine
def test_recall_on_clustered_vectors() -> None:
    result = hnsw_recall(_clustered(5000, 1), _clustered(100, 2))
    assert set(result) == {"recall@10", "p50_ms", "exact_p50_ms", "bytes_per_vector"}
    assert 0.99 <= result["recall@10"] <= 1
    assert 0 < result["p50_ms"] < 50
    assert 64 * 4 < result["bytes_per_vector"] < 64 * 4 * 2


@needs_engine
def test_a_graph_too_thin_is_seen() -> None:
    # Recall below 1 proves that the graph is walked, not the whole collection.
    result = hnsw_recall(_clustered(5000, 1), _clustered(50, 2), m=2, ef_construct=4, ef=10)
    assert result["recall@10"] < 0.9


@needs_engine
def test_vectors_without_a_graph_are_an_error() -> None:
    with pytest.raises(IndexMismatchError, match="only 0 of 2 vectors are in the graph"):
        hnsw_recall(_clustered(2, 1), _clustered(3, 2))


@needs_engine
def test_not_finite_is_refused() -> None:
    vectors = _clustered(20, 1)
    vectors[4, 4] = np.nan
    with pytest.raises(VectorError, match="'4' holds NaN"):
        hnsw_recall(vectors, _clustered(3, 2))
    with pytest.raises(VectorError, match="query number 4"):
        hnsw_recall(_clustered(20, 1), vectors)


def test_missing_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(IndexUnavailableError, match=r"pip install 'rabtriever\[edge\]'"):
        hnsw_recall(_clustered(3, 1), _clustered(3, 2))
