"""The student's margin is a dot product; a query tower refuses another teacher's artifacts."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rabtriever_core.config import StudentConfig
from rabtriever_core.errors import ArtifactError, ModelError
from rabtriever_core.models.predictor import PREDICTOR_FILE, Predictor, make_predictor
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.models.student import Student
from rabtriever_core.workspace.artifacts import build_artifact
from rabtriever_core.workspace.identity import Identity
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("dev")]


PREDICTORS = {
    "paper": StudentConfig(skip=False),
    "gated": StudentConfig(),
    "deep": StudentConfig(layers=3),
    "narrow": StudentConfig(predictor="wide", rank=8),
    "wide": StudentConfig(predictor="wide", rank=48),
    "additive": StudentConfig(predictor="additive"),
}


def _student(config: StudentConfig, seed: int = 1) -> Student:
    backbone = small_backbone(DATASET)
    return Student(backbone, make_predictor(backbone.dimension, config, seed))


@pytest.fixture(scope="module")
def student() -> Student:
    return _student(StudentConfig())


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_is_one_dot_product(name: str, tmp_path) -> None:
    student = _student(PREDICTORS[name])
    queries, offsets = student.encode_queries_with_offsets(QUERIES)
    documents = student.encode_documents(DATASET.documents)
    margins = student.margin(QUERIES, DATASET.documents)
    assert queries.shape[1] == documents.shape[1] == student.dimension
    np.testing.assert_allclose(queries @ documents.T + offsets[:, None], margins, atol=1e-4)
    e_d = document_states(student.encoder, DATASET.documents)
    assert (documents.shape == e_d.shape and (documents == e_d).all()) == (
        not student.predictor.embeds_documents
    )
    student.save(tmp_path)
    loaded = Student(student.encoder, Predictor.load(tmp_path))
    np.testing.assert_array_equal(loaded.margin(QUERIES, DATASET.documents), margins)


def test_a_predictor_is_saved_to_the_same_bytes(tmp_path) -> None:
    predictor = _student(PREDICTORS["gated"]).predictor
    written = set()
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        predictor.save(tmp_path / str(number))
        written.add((tmp_path / str(number) / PREDICTOR_FILE).read_bytes())
    assert len(written) == 1


def _metadata(**described: object) -> dict[str, str]:
    return {"predictor": json.dumps(described)}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"kind": "gated", "shape": "{}"},
        _metadata(kind="gone", shape={}),
        _metadata(kind="gated", shape={"width": 32}),
        _metadata(kind="gated", shape={"width": 32, "hidden": 8, "layers": 2, "skip": False}),
    ],
    ids=["none", "of an earlier version", "other kind", "shape misses", "other weights"],
)
def test_a_predictor_of_an_earlier_version_is_asked_for_again(
    metadata: dict[str, str] | None, tmp_path
) -> None:
    save_file({"gate": torch.ones(2)}, tmp_path / PREDICTOR_FILE, metadata=metadata)
    with pytest.raises(ArtifactError, match=rf"{PREDICTOR_FILE}.*rabtriever run student --force"):
        Predictor.load(tmp_path)


def test_a_folder_without_predictor_is_named(tmp_path) -> None:
    with pytest.raises(ArtifactError, match=rf"{PREDICTOR_FILE}.*materialize it again"):
        Predictor.load(tmp_path)


def test_without_the_product_all_queries_rank_alike() -> None:
    margins = _student(PREDICTORS["additive"]).margin(QUERIES, DATASET.documents)
    centred = margins - margins.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred, np.tile(centred[0], (len(QUERIES), 1)), atol=1e-4)


def test_margin_is_the_dot_product_of_the_encodings(student: Student) -> None:
    queries, documents = (
        student.encode_queries(QUERIES),
        student.encode_documents(DATASET.documents),
    )
    assert queries.dtype == documents.dtype == np.float32
    assert queries.shape == (len(QUERIES), student.dimension)
    np.testing.assert_allclose(
        queries @ documents.T, student.margin(QUERIES, DATASET.documents), atol=1e-4
    )


def test_batched_equals_single(student: Student) -> None:
    batched = student.encode_queries(QUERIES, batch_size=5)
    single = np.concatenate([student.encode_queries([q]) for q in QUERIES])
    np.testing.assert_allclose(batched, single, atol=1e-5)


def test_no_queries_give_no_vectors(student: Student) -> None:
    assert student.encode_queries([]).shape == (0, student.dimension)
    assert student.margin([], DATASET.documents).shape == (0, len(DATASET.documents))


def test_document_vectors_do_not_depend_on_the_predictor(student: Student) -> None:
    other = _student(StudentConfig(hidden_multiple=2), seed=9)
    np.testing.assert_array_equal(
        student.encode_documents(DATASET.documents), other.encode_documents(DATASET.documents)
    )


def _artifact(folder, parents, save):
    def make(output, _checkpoints):
        save(output)
        return {}

    return build_artifact(
        folder,
        work=folder.parent / ".work",
        identity=Identity(
            stage=folder.name,
            version=1,
            config={},
            parents=parents,
            dataset="x",
        ),
        make=make,
    )


def test_load_checks_that_the_teacher_fits(tmp_path, student: Student) -> None:
    teacher = _artifact(tmp_path / "teacher", {}, student.encoder.save)
    made = _artifact(tmp_path / "student", {"teacher": teacher.hash}, student.save)
    loaded = Student.load(made.folder, teacher.folder, RUNTIME)
    np.testing.assert_allclose(
        loaded.encode_queries(QUERIES), student.encode_queries(QUERIES), atol=1e-6
    )
    other = _artifact(tmp_path / "other" / "teacher", {}, small_backbone(DATASET, seed=8).save)
    with pytest.raises(ArtifactError, match="made from teacher"):
        Student.load(made.folder, other.folder, RUNTIME)


@pytest.mark.parametrize(
    "config",
    [StudentConfig(), StudentConfig(predictor="wide"), StudentConfig(predictor="wide", rank=40)],
    ids=["gated", "wide", "wider"],
)
def test_a_predictor_starts_from_the_cosine(config: StudentConfig) -> None:
    started = _student(config)
    backbone = started.encoder
    started.predictor.start_from_cosine(backbone.answer_direction().detach(), 0.1)
    e_d = document_states(backbone, DATASET.documents)
    e_q = query_states(backbone, QUERIES)
    margins = started.margin(QUERIES, DATASET.documents)
    assert np.corrcoef(margins.ravel(), (e_q @ e_d.T).ravel())[0, 1] > 0.98


def test_the_start_keeps_every_dimension_that_the_answer_direction_can_carry() -> None:
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=256)).float()
    predictor = make_predictor(256, StudentConfig(), seed=1)
    predictor.start_from_cosine(direction, 0.5)
    with torch.no_grad():
        kept = predictor.query_vectors(torch.eye(256), direction).diagonal() / 0.5
    small = direction.abs() < 0.1 * direction.square().mean().sqrt()
    assert 0 < small.sum() < 40
    assert kept[~small].min() > 0.9


@pytest.mark.parametrize("name", ["paper", "additive"])
def test_a_predictor_without_linear_path_cannot(name: str) -> None:
    with pytest.raises(ModelError, match="skip"):
        make_predictor(8, PREDICTORS[name], seed=1).start_from_cosine(torch.ones(8), 0.1)
