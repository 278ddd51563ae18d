"""Exported students and teachers, opened by their library alone, have the margins of ours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.config import StudentConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.integrations.export_parity import (
    PROBES,
    check_cross_encoder,
    check_student,
    share_cut,
)
from rabtriever_core.integrations.export_student import write_student
from rabtriever_core.integrations.export_teacher import write_cross_encoder
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student
from tests.core.integrations.released import small_student, titled_dataset
from tests.core.small import small_backbone
from tests.core.small_encoder import small_encoder

library = pytest.importorskip("sentence_transformers")

DATASET = titled_dataset()
QUERIES = [*PROBES, *DATASET.queries.values()][:20]
DOCUMENTS = list(DATASET.documents)
TEXTS = [document.full_text for document in DOCUMENTS]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"skip": False},
        {"layers": 1},
        {"layers": 3},
        {"predictor": "wide", "rank": 12},
        {"predictor": "additive"},
    ],
    ids=str,
)
def test_students_on_the_teachers_backbone(config: dict[str, object], tmp_path: Path) -> None:
    made = small_student(DATASET, **config)
    student = Student(made.encoder, made.predictor, small_backbone(DATASET, seed=9))
    write_student(student, tmp_path)
    margins = _margins(tmp_path)
    offsets = student.encode_queries_with_offsets(QUERIES)[1][:, None]
    np.testing.assert_allclose(margins + offsets, student.margin(QUERIES, DOCUMENTS), atol=1e-5)
    assert student.predictor.has_offsets == bool(np.abs(offsets).max() > 0)
    assert np.ptp(margins) > 0.01


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_students_on_an_encoder(pooling: str, tmp_path: Path) -> None:
    encoder = small_encoder(
        tmp_path / "encoder", DATASET, pooling=pooling, prompts={"query": "query: "}
    )
    backbone = small_backbone(DATASET)
    predictor = make_predictor(
        encoder.dimension, StudentConfig(), seed=1, out=backbone.dimension
    ).eval()
    student = Student(encoder, predictor, direction=backbone.answer_direction())
    write_student(student, tmp_path / "student")
    expected = student.margin(QUERIES, DOCUMENTS)
    np.testing.assert_allclose(_margins(tmp_path / "student"), expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3


def test_a_text_of_no_side_is_refused_and_a_wrong_student_found(tmp_path: Path) -> None:
    student = small_student(DATASET)
    write_student(student, tmp_path)
    model = library.SentenceTransformer(str(tmp_path))
    with pytest.raises(ValueError, match="task"):
        model.encode(TEXTS)
    assert model.similarity_fn_name == "dot"
    assert check_student(tmp_path, student, DATASET).max_error < 1e-5
    with pytest.raises(ModelError, match="its margins differ by"):
        check_student(tmp_path, small_student(DATASET, predictor="additive"), DATASET)


def test_teachers(tmp_path: Path) -> None:
    teacher = GenerativeReranker(small_backbone(DATASET), 0.0)
    write_cross_encoder(teacher, tmp_path)
    model = library.CrossEncoder(str(tmp_path))
    queries = [query for query in QUERIES if len(query) < 200]
    scores = model.predict([(query, text) for query in queries for text in TEXTS])
    expected = teacher.margins(queries, DOCUMENTS)
    np.testing.assert_allclose(scores.reshape(expected.shape), expected, atol=1e-5)
    assert check_cross_encoder(tmp_path, teacher, DATASET).max_error < 1e-5
    assert share_cut(teacher, DOCUMENTS) == 0
    with pytest.raises(ModelError, match="its margins differ by"):
        check_cross_encoder(tmp_path, GenerativeReranker(small_backbone(DATASET, seed=9)), DATASET)


def _query_first(**space: tuple[str, str]) -> GenerativeReranker:
    backbone = small_backbone(DATASET)
    spec = replace(backbone.prompt.spec, document_first=False, **space)
    return GenerativeReranker(Backbone(backbone.model, Prompt(spec, backbone.prompt.tokenizer)))


def test_a_prompt_with_the_query_first(tmp_path: Path) -> None:
    teacher = _query_first()
    write_cross_encoder(teacher, tmp_path / "teacher")
    assert check_cross_encoder(tmp_path / "teacher", teacher, DATASET).max_error < 1e-5
    made = small_student(DATASET)
    student = Student(teacher.backbone, made.predictor)
    write_student(student, tmp_path / "student")
    assert check_student(tmp_path / "student", student, DATASET).max_error < 1e-5
    with pytest.raises(ModelError, match="white space that is tokenized together"):
        write_cross_encoder(_query_first(query_space=("", "\n")), tmp_path / "other")


def test_a_teacher_whose_margin_is_more_than_reading_is_refused(tmp_path: Path) -> None:
    teacher = GenerativeReranker(small_backbone(DATASET), 20.0)
    with pytest.raises(ModelError, match=r"holds 20 · cos\(e_Q, e_D\)"):
        write_cross_encoder(teacher, tmp_path)
    assert list(tmp_path.iterdir()) == []


def _margins(folder: Path) -> np.ndarray:
    model = library.SentenceTransformer(str(folder))
    margins: np.ndarray = model.encode_query(QUERIES) @ model.encode_document(TEXTS).T
    return margins
