"""Vectors that must not be stored, and ids that must not change."""

import uuid

import numpy as np
import pytest

from rabtriever_core.errors import VectorError
from rabtriever_core.index.vectors import check_queries, check_vectors, point_id

IDS = ["a", "b", "c"]


def _good() -> np.ndarray:
    return np.arange(12, dtype=np.float32).reshape(3, 4)


def test_good_vectors_pass() -> None:
    check_vectors(_good(), 4, IDS)
    # Finite although their sum overflows.
    check_vectors(np.full((3, 4), np.finfo(np.float32).max), 4, IDS)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "Inf"), (-np.inf, "Inf")])
def test_not_finite_names_the_document(value: float, name: str) -> None:
    vectors = _good()
    vectors[1, 2] = value
    with pytest.raises(VectorError, match=rf"document 'b' holds {name} at position 2"):
        check_vectors(vectors, 4, IDS)


def test_shape_errors_name_the_document() -> None:
    with pytest.raises(VectorError, match=r"document 'a' has 4 dimensions, not 5"):
        check_vectors(_good(), 5, IDS)
    with pytest.raises(VectorError, match=r"3 vectors for 4 documents; document 'd' has none"):
        check_vectors(_good(), 4, [*IDS, "d"])
    with pytest.raises(VectorError, match=r"3 vectors for 2 documents"):
        check_vectors(_good(), 4, IDS[:2])
    with pytest.raises(VectorError, match=r"float32, got float64.*'a'"):
        check_vectors(_good().astype(np.float64), 4, IDS)
    with pytest.raises(VectorError, match=r"shape \(4,\)"):
        check_vectors(_good()[0], 4, IDS)
    with pytest.raises(VectorError, match=r"document 'a' occurs twice"):
        check_vectors(_good(), 4, ["a", "b", "a"])


def test_queries() -> None:
    check_queries(_good(), 4)
    with pytest.raises(VectorError, match="query number 2"):
        check_queries(np.array([[0.0], [1.0], [np.nan]], dtype=np.float32))
    with pytest.raises(VectorError, match="4 dimensions, not 3"):
        check_queries(_good(), 3)


def test_point_ids_never_change() -> None:
    # A changed namespace would duplicate every point of existing collections.
    assert point_id("doc 1") == "4c47fc13-8f74-5474-9ed5-2254d276ac6b"
    assert uuid.UUID(point_id("doc 1")).version == 5
    assert point_id("doc 1") != point_id("doc 2")
