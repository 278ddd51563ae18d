"""Search by margin + weight · BM25 against numpy, ties, filters and copies included."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from qdrant_client import QdrantClient

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError, IndexMismatchError
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.hit import Hit
from rabtriever_core.index.hybrid import hybrid_search
from rabtriever_core.index.lexical import FILE, Lexical
from rabtriever_core.index.memory import in_memory
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.search import search
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.bm25_vectors import TermVectors

WORDS = st.lists(st.sampled_from(["ant", "bee", "cow", "dog", "eel"]), max_size=6).map(" ".join)
WHOLE = st.integers(-2, 2).map(float)


def _built(
    client: QdrantClient, documents: list[Document], vectors: np.ndarray, weight: float
) -> tuple[str, Lexical]:
    words = TermVectors.of(Bm25.fit(documents, "none"))
    name = build_collection(
        client, "demo", "a" * 12, documents, vectors, {"dataset": "d"}, 25, words=words
    )
    return name, Lexical.of(words, weight)


def _expected(
    documents: list[Document], margins: np.ndarray, query: str, weight: float
) -> list[tuple[str, float, float]]:
    bm25 = Bm25.fit(documents, "none").scores([query])[0]
    # To six digits: what is equal there may come in either order.
    rows = sorted(
        range(len(documents)),
        key=lambda row: (-round(float(margins[row] + weight * bm25[row]), 5), documents[row].id),
    )
    return [(documents[row].id, float(margins[row]), float(bm25[row])) for row in rows]


def _agree(hits: list[Hit], expected: list[tuple[str, float, float]], weight: float) -> None:
    """Place by place the same sum; the same document where no other has that sum."""
    sums = [margin + weight * bm25 for _, margin, bm25 in expected]
    by_id = {id_: (margin, bm25) for id_, margin, bm25 in expected}
    assert len({hit.document_id for hit in hits}) == len(hits)
    for place, hit in enumerate(hits):
        assert hit.bm25 is not None
        assert (hit.margin, hit.bm25) == pytest.approx(by_id[hit.document_id], abs=1e-4)
        assert hit.margin + weight * hit.bm25 == pytest.approx(sums[place], abs=1e-4)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[Document], np.ndarray, np.ndarray, list[str], float]:
    texts = draw(st.lists(WORDS, min_size=1, max_size=70))
    documents = [Document(f"{n * 7919 % 71:02d}", text) for n, text in enumerate(texts)]
    width = draw(st.integers(1, 3))
    vectors = draw(hnp.arrays(np.float32, (len(texts), width), elements=WHOLE, fill=WHOLE))
    queries = draw(hnp.arrays(np.float32, (2, width), elements=WHOLE, fill=WHOLE))
    asked = draw(st.lists(WORDS, min_size=2, max_size=2))
    return documents, vectors, queries, asked, draw(st.sampled_from([0.25, 1.0, 4.0]))


@settings(max_examples=60, deadline=None)
@given(_cases(), st.integers(1, 12))
def test_order_is_that_of_the_sum_over_all_documents(
    case: tuple[list[Document], np.ndarray, np.ndarray, list[str], float], k: int
) -> None:
    documents, vectors, queries, texts, weight = case
    client = QdrantClient(":memory:")
    name, lexical = _built(client, documents, vectors, weight)
    placed = QueryVectors(queries, np.array([1.0, 2.0]), np.array([0.0, 0.5]))
    margins = placed.margins(vectors)
    for copy in (client, in_memory(client, name)):
        found = hybrid_search(copy, name, placed, texts, lexical, k)
        for row, hits in enumerate(found):
            assert len(hits) == min(k, len(documents))
            expected = _expected(documents, margins[row], texts[row], weight)
            _agree(hits, expected, weight)
            keys = [(-(hit.margin + weight * (hit.bm25 or 0)), hit.document_id) for hit in hits]
            assert keys == sorted(keys), "equal sums rank by id"
    client.close()


def test_ties_across_the_cut_are_settled_by_id() -> None:
    documents = [Document(f"{n * 37 % 300:03d}", "ant bee") for n in range(300)]
    client = QdrantClient(":memory:")
    name, lexical = _built(client, documents, np.ones((300, 2), np.float32), 1.0)
    placed = QueryVectors.plain(np.ones((1, 2), np.float32))
    (hits,) = hybrid_search(client, name, placed, ["ant"], lexical, 5)
    assert [hit.document_id for hit in hits] == ["000", "001", "002", "003", "004"]


def test_a_document_far_down_by_margin_is_found_by_its_words() -> None:
    documents = [Document(f"{n:03d}", f"word{n}") for n in range(200)]
    vectors = np.linspace(9, 0, 200, dtype=np.float32)[:, None]
    client = QdrantClient(":memory:")
    name, lexical = _built(client, documents, vectors, 8.0)
    placed = QueryVectors.plain(np.ones((2, 1), np.float32))
    named, unknown = hybrid_search(client, name, placed, ["word150", "nothing"], lexical, 2)
    assert named[0].document_id == "150"
    assert named[0].margin == pytest.approx(float(vectors[150, 0])), "no sum is called a margin"
    assert [hit.document_id for hit in unknown] == ["000", "001"], "as without BM25"
    assert [hit.bm25 for hit in unknown] == [0.0, 0.0]


def test_filters_hold_for_both_lists(tmp_path: Path) -> None:
    documents = [
        Document(f"{n:03d}", f"ant word{n}", metadata={"even": n % 2 == 0, "n": n})
        for n in range(120)
    ]
    vectors = np.random.default_rng(1).standard_normal((120, 4)).astype(np.float32)
    placed = QueryVectors.plain(np.random.default_rng(2).standard_normal((2, 4)).astype(np.float32))
    with connect(IndexConfig(), tmp_path) as client:
        name, lexical = _built(client, documents, vectors, 1.0)
        filters = [{"even": True}, {"n": {"lt": 3}}]
        found = hybrid_search(
            client, name, placed, ["ant word7 word8", "word1"], lexical, [4, 9], filters=filters
        )
    even = [document for document in documents if document.metadata["even"]]
    # BM25 is of the collection: a filter does not change what a word is worth.
    whole = _expected(documents, placed.margins(vectors)[0], "ant word7 word8", 1.0)
    allowed = {document.id for document in even}
    _agree(found[0], [row for row in whole if row[0] in allowed], 1.0)
    assert len(found[0]) == 4
    assert {hit.document_id for hit in found[1]} == {"000", "001", "002"}


def test_a_collection_with_bm25_is_searched_by_margin_as_before(
    client: QdrantClient, documents: list[Document], vectors: np.ndarray
) -> None:
    name, _ = _built(client, documents, vectors, 1.0)
    for each in (client, in_memory(client, name)):
        (hits,) = search(each, name, QueryVectors.plain(vectors[:1]), 5)
        order = np.argsort(-(vectors @ vectors[0]))[:5]
        assert [hit.document_id for hit in hits] == [documents[row].id for row in order]
        assert {hit.bm25 for hit in hits} == {None}


def test_the_query_side_is_kept_and_refuses_other_documents(tmp_path: Path) -> None:
    documents = [Document("1", "open the fridge"), Document("2", "a door")]
    lexical = Lexical.of(TermVectors.of(Bm25.fit(documents, "en")), 0.25)
    assert Lexical.load(tmp_path) is None, "a collection of an earlier version"
    lexical.save(tmp_path)
    loaded = Lexical.load(tmp_path)
    assert loaded is not None
    assert (loaded.weight, loaded.fingerprint) == (0.25, lexical.fingerprint)
    assert loaded.vocabulary.counts(["doors open"]) == lexical.vocabulary.counts(["doors open"])
    assert loaded.documents(documents).fingerprint == lexical.fingerprint
    with pytest.raises(IndexMismatchError, match="words of these 1 documents"):
        loaded.documents(documents[:1])
    (tmp_path / FILE).write_text('{"weight": 1}')
    with pytest.raises(ArtifactError, match=r"bm25.json is damaged.*qdrant_collection --force"):
        Lexical.load(tmp_path)
