"""Query vectors in a collection's coordinates: margins through Qdrant are the student's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient

from rabtriever_core.config import GaugeConfig, IndexConfig, StudentConfig
from rabtriever_core.index.checks.exactness import top_k_recall
from rabtriever_core.index.checks.model_agreement import agreement_with_model
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.index.query_tower import QueryTower, QueryVectors
from rabtriever_core.index.search import search
from rabtriever_core.index.shards import write_shards
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.probability import sigmoid
from rabtriever_core.models.states import document_states
from rabtriever_core.models.student import Student
from tests.core.small import small_backbone, small_dataset

DATASET = small_dataset()
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("dev")]
DOCUMENTS = list(DATASET.documents)


@pytest.fixture(
    scope="module",
    params=[StudentConfig(), StudentConfig(predictor="wide", rank=12)],
    ids=["gated", "wide"],
)
def student(request: pytest.FixtureRequest) -> Student:
    backbone = small_backbone(DATASET)
    return Student(backbone, make_predictor(backbone.dimension, request.param, seed=1))


def _tower(student: Student, fill_range: bool = False, **gauge: Any) -> QueryTower:
    vectors = student.encode_documents(DOCUMENTS)
    fitted = Gauge.fit(GaugeConfig(**gauge), vectors, student.encode_queries(QUERIES))
    return QueryTower(student, fitted, fill_range=fill_range)


@pytest.fixture
def embeddings(student: Student, tmp_path: Path) -> StoredDocuments:
    return _embeddings(tmp_path, document_states(student.encoder, DOCUMENTS))


def _embeddings(folder: Path, states: np.ndarray) -> StoredDocuments:
    rows = iter(states)
    write_shards(
        folder,
        DOCUMENTS,
        lambda documents: np.stack([next(rows) for _ in documents]),
        dimension=states.shape[1],
        shard_documents=5,
    )
    return StoredDocuments.open(folder)


def _collection(client: QdrantClient, tower: QueryTower) -> str:
    stored = tower.gauge.documents(tower.student.encode_documents(DOCUMENTS))
    return build_collection(client, "demo", "a" * 12, DOCUMENTS, stored, {"dataset": "d"}, 50)


@pytest.mark.parametrize("fill_range", [False, True])
@pytest.mark.parametrize("method", ["none", "center", "pca", "whiten", "balanced"])
def test_margins_and_probabilities_stay_the_students(
    client: QdrantClient, student: Student, method: str, fill_range: bool
) -> None:
    tower = _tower(student, fill_range, method=method, spread=method == "whiten")
    hits = search(client, _collection(client, tower), tower.encode(QUERIES), len(DOCUMENTS))
    margins = student.margin(QUERIES, DOCUMENTS)
    columns = {d.id: column for column, d in enumerate(DOCUMENTS)}
    for row, ranking in zip(margins, hits, strict=True):
        assert len(ranking) == len(DOCUMENTS)
        for hit in ranking:
            assert hit.margin == pytest.approx(row[columns[hit.document_id]], abs=2e-4)
            assert hit.probability == sigmoid(hit.margin)


def test_queries_fill_the_documents_range(student: Student) -> None:
    tower = _tower(student, True, method="pca")
    encoded = tower.encode(QUERIES)
    np.testing.assert_allclose(np.abs(encoded.vectors).max(axis=1), tower.gauge.reach, rtol=1e-5)
    assert (encoded.scales > 0).all()
    zero = tower.place(np.zeros((1, student.dimension), np.float32))
    assert zero.margins(np.ones((2, tower.dimension), np.float32)).tolist() == [[0, 0]]


def test_a_whole_gauge_agrees_and_reports_no_loss(
    client: QdrantClient, student: Student, embeddings: StoredDocuments
) -> None:
    tower = _tower(student, method="balanced")
    name = _collection(client, tower)
    agreement = agreement_with_model(
        client, name, tower, QUERIES, DOCUMENTS, embeddings, IndexConfig()
    )
    assert agreement.top10 == 1.0
    assert agreement.losses() == {}


def test_truncation_is_a_loss_of_its_own(
    client: QdrantClient, student: Student, embeddings: StoredDocuments
) -> None:
    # Eleven documents too many for two dimensions: the index is exact, the truncation is not.
    tower = _tower(student, method="pca", dimensions=2, equal_norms=False)
    name = _collection(client, tower)
    agreement = agreement_with_model(
        client, name, tower, QUERIES, DOCUMENTS, embeddings, IndexConfig()
    )
    assert agreement.top10 == 1.0
    kept = agreement.losses()["truncation_recall@10"]
    assert kept == agreement.truncation_recall
    assert 0.5 < kept < 1.0


def test_another_gauge_does_not_agree(
    client: QdrantClient, student: Student, embeddings: StoredDocuments
) -> None:
    name = _collection(client, _tower(student))
    other = _tower(student, method="whiten", equal_norms=False)
    agreement = agreement_with_model(
        client, name, other, QUERIES, DOCUMENTS, embeddings, IndexConfig()
    )
    assert agreement.top10 < 0.9


@pytest.mark.parametrize(
    ("rounding", "noise", "agrees"),
    [(0.0, 2.0**-11, False), (2.0**-10, 2.0**-11, True), (2.0**-10, 2.0**-7, False)],
)
def test_documents_encoded_afresh_agree_to_the_precision_of_the_model(
    client: QdrantClient,
    student: Student,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rounding: float,
    noise: float,
    agrees: bool,
) -> None:
    tower = _tower(student)
    # Stored documents one and the same, so that every place is a tie that rounding breaks.
    first = document_states(student.encoder, DOCUMENTS[:1])
    exact = Student.margin

    def rounded(self: Student, texts: Any, documents: Any) -> Any:
        margins = exact(self, texts, [DOCUMENTS[0]] * len(documents))
        share = np.random.default_rng(5).uniform(1 - noise, 1, margins.shape)
        return (margins * share).astype(np.float32)

    monkeypatch.setattr(Student, "margin", rounded)
    monkeypatch.setattr(Backbone, "rounding", rounding)
    same = _embeddings(tmp_path / "same", np.repeat(first, len(DOCUMENTS), axis=0))
    vectors = same.stored(tower)
    stored = build_collection(client, "same", "b" * 12, DOCUMENTS, vectors, {"dataset": "d"}, 50)
    agreement = agreement_with_model(
        client, stored, tower, QUERIES, DOCUMENTS, same, IndexConfig()
    ).top10
    assert (agreement == 1.0) is agrees


def test_recall_counts_documents_not_places() -> None:
    margins = np.array([[4.0, 3.0, 3.0, 1.0]])
    ids = ["a", "b", "c", "d"]

    def recall(*ranked: str) -> float:
        return top_k_recall([[(id_, 0.0) for id_ in ranked]], margins, ids, 2)

    assert recall("b", "a") == recall("a", "c") == 1.0
    assert recall("a", "d") == recall("a", "a") == recall("a", "x") == recall("a") == 0.5


def test_slices_keep_scale_and_offset() -> None:
    encoded = QueryVectors(
        np.eye(3, dtype=np.float32), np.float32([1, 2, 3]), np.float32([4, 5, 6])
    )
    assert len(encoded[1:]) == 2
    documents = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(encoded[1:].margins(documents), encoded.margins(documents)[1:])
    assert encoded.margins(documents)[2].tolist() == [6, 6, 9]


def test_documents_are_those_uploaded(client: QdrantClient, student: Student) -> None:
    tower = _tower(student, method="pca", dimensions=4)
    info = client.get_collection(_collection(client, tower))
    vectors = info.config.params.vectors
    assert not isinstance(vectors, dict)
    assert vectors is not None
    assert vectors.size == tower.dimension == 4
