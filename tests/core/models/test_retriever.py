"""The student's margin is a dot product; a query tower refuses another teacher's artifacts."""

import numpy as np
import pytest
import torch

from rabtriever_core.artifacts import build_artifact
from rabtriever_core.errors import ArtifactError
from rabtriever_core.models.predictor import Predictor, make_predictor
from rabtriever_core.models.retriever import Rabtriever, query_states
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("dev")]


@pytest.fixture(scope="module")
def student() -> Rabtriever:
    backbone = small_backbone(DATASET)
    return Rabtriever(backbone, make_predictor(backbone.dimension, 4, seed=1))


def test_margin_is_the_dot_product_of_the_encodings(student: Rabtriever) -> None:
    queries, documents = (
        student.encode_queries(QUERIES),
        student.encode_documents(DATASET.documents),
    )
    assert queries.dtype == documents.dtype == np.float32
    assert queries.shape == (len(QUERIES), student.dimension)
    np.testing.assert_allclose(
        queries @ documents.T, student.margin(QUERIES, DATASET.documents), atol=1e-4
    )


def test_batched_equals_single(student: Rabtriever) -> None:
    batched = student.encode_queries(QUERIES, batch_size=5)
    single = np.concatenate([student.encode_queries([q]) for q in QUERIES])
    np.testing.assert_allclose(batched, single, atol=1e-5)


def test_no_queries_give_no_vectors(student: Rabtriever) -> None:
    assert student.encode_queries([]).shape == (0, student.dimension)
    assert student.margin([], DATASET.documents).shape == (0, len(DATASET.documents))


def test_document_vectors_do_not_depend_on_the_predictor(student: Rabtriever) -> None:
    other = Rabtriever(student.backbone, make_predictor(student.dimension, 2, seed=9))
    np.testing.assert_array_equal(
        student.encode_documents(DATASET.documents), other.encode_documents(DATASET.documents)
    )


def test_predictor_round_trip(tmp_path, student: Rabtriever) -> None:
    student.predictor.save(tmp_path)
    loaded = Rabtriever(student.backbone, Predictor.load(tmp_path))
    np.testing.assert_array_equal(loaded.encode_queries(QUERIES), student.encode_queries(QUERIES))


def _artifact(folder, parents, save):
    def make(output, _checkpoints):
        save(output)
        return {}

    return build_artifact(
        folder,
        work=folder.parent / ".work",
        config={},
        parents=parents,
        dataset="x",
        code=(),
        make=make,
    )


def test_load_checks_that_the_teacher_fits(tmp_path, student: Rabtriever) -> None:
    teacher = _artifact(tmp_path / "teacher", {}, student.backbone.save)
    made = _artifact(tmp_path / "student", {"teacher": teacher.hash}, student.predictor.save)
    loaded = Rabtriever.load(made.folder, teacher.folder, RUNTIME)
    np.testing.assert_allclose(
        loaded.encode_queries(QUERIES), student.encode_queries(QUERIES), atol=1e-6
    )
    other = _artifact(tmp_path / "other" / "teacher", {}, small_backbone(DATASET, seed=8).save)
    with pytest.raises(ArtifactError, match="made from teacher"):
        Rabtriever.load(made.folder, other.folder, RUNTIME)


def test_a_predictor_starts_from_the_cosine() -> None:
    backbone = small_backbone(DATASET)
    predictor = make_predictor(backbone.dimension, 4, seed=1)
    predictor.start_from_cosine(backbone.answer_direction().detach(), 0.1)
    started = Rabtriever(backbone, predictor)
    e_d = started.encode_documents(DATASET.documents)
    e_q = query_states(backbone, QUERIES)
    margins = started.margin(QUERIES, DATASET.documents)
    assert np.corrcoef(margins.ravel(), (e_q @ e_d.T).ravel())[0, 1] > 0.8
    with pytest.raises(ValueError, match="skip"):
        make_predictor(8, 2, seed=1, skip=False).start_from_cosine(torch.ones(8), 0.1)
