"""Search order against numpy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from qdrant_client import QdrantClient

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import FilterError, VectorError
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.search import search

# Small whole numbers: products are exact in any order of summation, and ties are frequent.
WHOLE = st.integers(-2, 2).map(float)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
    rows, width = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    vectors = draw(hnp.arrays(np.float32, (rows, width), elements=WHOLE, fill=WHOLE))
    queries = draw(hnp.arrays(np.float32, (2, width), elements=WHOLE, fill=WHOLE))
    return vectors, queries, draw(st.lists(st.integers(1, rows + 3), min_size=2, max_size=2))


@settings(max_examples=40, deadline=None)
@given(_cases())
def test_order_is_numpy_order_with_ties_by_id(
    case: tuple[np.ndarray, np.ndarray, list[int]],
) -> None:
    vectors, queries, depths = case
    documents = [Document(id=f"{i * 7919 % 61:02d}", text="x") for i in range(len(vectors))]
    client = QdrantClient(":memory:")
    name = build_collection(client, "demo", "a" * 12, documents, vectors, {"dataset": "d"}, 25)
    found = search(client, name, QueryVectors.plain(queries), depths)
    for query, k, hits in zip(queries, depths, found, strict=True):
        margins = vectors @ query
        order = sorted(range(len(vectors)), key=lambda r: (-margins[r], documents[r].id))[:k]
        assert [hit.document_id for hit in hits] == [documents[r].id for r in order]
        assert [hit.margin for hit in hits] == [margins[r] for r in order]
    client.close()


def test_real_valued_order_in_several_requests(
    client: QdrantClient, documents: list[Document], vectors: np.ndarray, hashes: dict[str, str]
) -> None:
    build_collection(client, "demo", "a" * 12, documents, vectors, hashes, 25)
    queries = np.random.default_rng(4).standard_normal((150, 8)).astype(np.float32)
    rankings = search(client, "demo__" + "a" * 12, QueryVectors.plain(queries), 10)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert [[h.document_id for h in hits] for hits in rankings] == [
        [documents[r].id for r in rows] for rows in expected
    ]
    first, document = rankings[0][0], documents[expected[0, 0]]
    assert (first.title, first.text) == (document.title, document.text)
    assert first.probability == pytest.approx(1 / (1 + np.exp(-first.margin)))


def test_no_queries_and_bad_queries(client: QdrantClient) -> None:
    assert search(client, "demo", QueryVectors.plain(np.zeros((0, 8), np.float32)), 3) == []
    with pytest.raises(VectorError, match="query number 0"):
        search(client, "demo", QueryVectors.plain(np.full((1, 8), np.nan, np.float32)), 3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        search(client, "demo", QueryVectors.plain(np.zeros((1, 8), np.float32)), 0)
    two = QueryVectors.plain(np.zeros((2, 8), np.float32))
    with pytest.raises(ValueError, match="at least 1, got -3"):
        search(client, "demo", two, [4, -3])
    with pytest.raises(ValueError, match="3 values of k for 2 queries"):
        search(client, "demo", two, [4, 3, 2])
    with pytest.raises(ValueError, match="1 values of filters for 2 queries"):
        search(client, "demo", two, 4, filters=[None])
    with pytest.raises(FilterError, match="'lang'"):
        search(client, "demo", two, 4, filters=[None, {"lang": []}])
