"""The whole chain with a published reranker's prompt, query first, and nothing trained of it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from rabtriever_core import Retriever
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import document_states
from rabtriever_core.models.student import Student
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.checkpoints import qwen3_reranker
from tests.core.small import small_dataset
from tests.e2e.conftest import overlay, small_workspace

DATASET = small_dataset()
DOCUMENTS = list(DATASET.documents)
QUERIES = [DATASET.queries[query] for query in DATASET.split_queries("test")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Workspace:
    folder = tmp_path_factory.mktemp("reranker") / "work"
    small_workspace(folder, small_data)
    qwen3_reranker(folder / "reranker")
    params = folder / "params.yaml"
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    changes = {
        "backbone": {"model": "reranker"},
        "prompt": {"template": "qwen3-reranker", "max_document_tokens": 64},
        "teacher": {"method": "zero-shot"},
        "student": {"skip": False, "anchor_weight": 0.0},
    }
    overlay(values, changes)
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    workspace = Workspace.open(folder)
    for stage in STAGES:
        run_stage(workspace, stage.name)
    promote(workspace, by="test", override="random weights")
    return workspace


def test_the_teacher_is_the_model_as_it_is(finished: Workspace) -> None:
    runtime = finished.settings.runtime
    folders = [finished.artifact(name) for name in ("backbone", "teacher")]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    assert set(load_artifact(folders[1]).meta.metrics) == {"dev"}
    teacher = GenerativeReranker.load(folders[1], runtime)
    prompt = teacher.backbone.prompt
    answers = [prompt.spec.true_id, prompt.spec.false_id]
    assert prompt.tokenizer.convert_ids_to_tokens(answers) == ["yes", "no"]
    assert not prompt.spec.document_first


def test_the_students_margin_is_one_dot_product_and_the_index_is_the_model(
    finished: Workspace,
) -> None:
    runtime = finished.settings.runtime
    teacher = finished.artifact("teacher")
    student = Student.load(finished.artifact("student"), teacher, runtime)
    states = document_states(student.encoder, DOCUMENTS)
    np.testing.assert_array_equal(student.document_vectors(states), states)  # e_D itself
    expected = student.margin(QUERIES, DOCUMENTS)
    found = student.encode_queries(QUERIES) @ student.encode_documents(DOCUMENTS).T
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-4 * scale)
    assert np.ptp(expected, axis=1).min() > 0.01
    with Retriever.open(finished) as retriever:
        for row, query in enumerate(QUERIES[:4]):
            hits = {hit.document_id: hit.margin for hit in retriever.search(query, k=12)}
            margins = [hits[document.id] for document in DOCUMENTS]
            np.testing.assert_allclose(margins, expected[row], atol=1e-3 * scale)
    benchmark = json.loads((finished.reports / "benchmark.json").read_text(encoding="utf-8"))
    assert benchmark["exactness"]["top10_agreement"] == 1.0


def test_reranked_by_the_published_margin(finished: Workspace) -> None:
    runtime = finished.settings.runtime
    teacher = GenerativeReranker.load(finished.artifact("teacher"), runtime)
    expected = teacher.margins(QUERIES[:1], DOCUMENTS)[0]
    with Retriever.open(finished) as retriever:
        hits = retriever.search(QUERIES[0], k=12, rerank=True)
    best = [DOCUMENTS[number].id for number in np.argsort(-expected)]
    assert [hit.document_id for hit in hits] == best


def test_the_student_learns_what_the_teacher_says(finished: Workspace) -> None:
    history = (finished.artifact("student") / "history.csv").read_text(encoding="utf-8")
    losses = [float(row["loss"]) for row in csv.DictReader(history.splitlines())]
    assert losses[-1] < losses[0]
