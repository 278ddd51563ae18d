"""Odd data and settings, as a user meets them: an error that says what to do, or what we document.

The table "Odd data" of docs/how-to/own-data.md is what is held here.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.data.dataset import Dataset, Document, Qrels, read_dataset, write_dataset
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.training.examples import Examples
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.small import RUNTIME, TINY, small_dataset

DATASET = small_dataset()
EVERYTHING = {document.id: 1 for document in DATASET.documents}
SHORT = {"min_steps": 10, "max_steps": 10, "queries_per_step": 4, "checkpoint_steps": 10}
SETTINGS: dict[str, Any] = {
    "dataset": {"name": "odd", "folder": "raw", "demo": False},
    "runtime": {"threads": 1, "device": "cpu", "seed": 3},
    "backbone": {"tiny": TINY.model_dump(), "warmup": SHORT},
    "prompt": {"max_query_tokens": 64},
    "teacher": {"schedule": SHORT, "documents_per_query": 4},
    "bi_encoder": {"schedule": SHORT},
}


def labelled(labels: dict[str, int] | int, *splits: str) -> Dataset:
    """The small data set with other labels in some splits: of every query, or of every pair."""
    qrels: dict[str, Qrels] = dict(DATASET.qrels)
    for split in splits:
        qrels[split] = {
            query: dict.fromkeys(judged, labels) if isinstance(labels, int) else dict(labels)
            for query, judged in DATASET.qrels[split].items()
        }
    return dataclasses.replace(DATASET, qrels=qrels)


def given(work: Path, dataset: Dataset) -> None:
    """Put a data set and short settings into a workspace."""
    write_dataset(dataset, work / "raw")
    (work / "params.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")


def run(work: Path, stage: str, *settings: str, code: int = 0) -> Any:
    """`rabtriever run STAGE --set …`."""
    overrides = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["run", stage, "-w", str(work), *overrides])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def metrics(work: Path, stage: str) -> dict[str, Any]:
    return load_artifact(Workspace.open(work).artifact(stage)).meta.metrics


@pytest.mark.parametrize(
    ("dataset", "broken", "sentence"),
    [
        (labelled(0, "train"), "splits_have_relevant", "train: every label is 0"),
        (labelled(0, "dev"), "splits_have_relevant", "dev: every label is 0"),
        (labelled(EVERYTHING, "train"), "training_answers_differ", "there is nothing to learn"),
        (
            labelled({"rest-work": 1}, "train"),
            "training_answers_differ",
            "train: all 48 queries have the same relevant documents",
        ),
        (
            dataclasses.replace(
                labelled({"rest-work": 1}, *DATASET.qrels), documents=DATASET.documents[:1]
            ),
            "enough_documents",
            "There are at least 2 documents.",
        ),
    ],
    ids=["none relevant", "none relevant in dev", "all relevant", "one answer", "one document"],
)
def test_what_nothing_can_be_learned_from_stops_the_chain(
    tmp_path: Path, dataset: Dataset, broken: str, sentence: str
) -> None:
    given(tmp_path, dataset)
    said = run(tmp_path, "all", code=1).stderr
    assert "the data set broke: " in said
    assert broken in said
    assert "validation.html" in said
    findings = (tmp_path / "artifacts" / "validated_dataset" / "validation.json").read_text("utf-8")
    assert sentence in findings
    refused = run(tmp_path, "backbone", code=2).stderr
    assert refused.startswith("error: backbone does not run: the data set broke")
    assert refused.count("\n") == 1


def test_an_evaluation_split_that_cannot_be_answered_wrong_is_a_warning(tmp_path: Path) -> None:
    given(tmp_path, labelled(EVERYTHING, "test"))
    run(tmp_path, "validated_dataset")
    found = metrics(tmp_path, "validated_dataset")
    assert found["passed"]
    assert found["warnings"] == ["rankings_can_be_wrong: 1 of 3 rows in clean_splits"]


def test_odd_queries_are_left_out_or_learned_from_as_they_are(tmp_path: Path) -> None:
    """A query with label 0 only, one that everything answers, and one that nobody judged."""
    train = dict(DATASET.qrels["train"])
    nothing, everything = sorted(train)[:2]
    train[nothing] = dict.fromkeys(train[nothing], 0)
    train[everything] = dict(EVERYTHING)
    odd = dataclasses.replace(
        DATASET,
        queries=DATASET.queries | {"unjudged": "Who asked this?"},
        qrels=DATASET.qrels | {"train": train},
    )
    given(tmp_path, odd)
    for stage in ("validated_dataset", "backbone", "bi_encoder", "teacher"):
        run(tmp_path, stage)
    found = metrics(tmp_path, "validated_dataset")
    assert found["warnings"] == ["queries_judged: 1 of 73 rows in clean_queries"]
    assert found["queries"]["train"] == 47
    folder = tmp_path / "artifacts"
    backbone = Backbone.load(folder / "backbone", RUNTIME)
    kept = read_dataset(folder / "validated_dataset")
    examples = Examples.of(kept, "train", backbone.prompt)
    assert len(examples.queries) == 47
    assert min(map(len, examples.relevant)) == 1
    for stage in ("bi_encoder", "teacher"):
        assert 0 < metrics(tmp_path, stage)["final_loss"] < 100


def test_long_documents_are_cut_and_lengths_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    long = Document("long", "calm " * 2_000)
    documents = (*DATASET.documents, long)
    given(tmp_path, dataclasses.replace(DATASET, documents=documents))
    run(tmp_path, "validated_dataset")
    refused = run(tmp_path, "backbone", "prompt.max_document_tokens=200", code=2).stderr
    assert refused == (
        "error: prompt.max_document_tokens 200, prompt.max_query_tokens 64 and the template's 3 "
        "make 267 tokens, but the backbone reads at most 256: lower one of the two, or take a "
        "backbone with a longer context (backbone.tiny.max_positions)\n"
    )
    run(tmp_path, "backbone", "prompt.max_document_tokens=189")
    prompt = Backbone.load(tmp_path / "artifacts" / "backbone", RUNTIME).prompt
    (ids,) = prompt.documents([long])
    assert len(ids) == 189 + len(prompt.spec.document_prefix)


@pytest.mark.parametrize(
    ("true", "false", "message"),
    [
        ("i", "I", "answers 'i' and 'I' are the same token"),
        ("zebra quilt", "lemon", "the answers are not single tokens of this backbone"),
    ],
)
def test_answers_that_collide_are_refused(
    tmp_path: Path, true: str, false: str, message: str
) -> None:
    given(tmp_path, DATASET)
    run(tmp_path, "validated_dataset")
    said = run(
        tmp_path,
        "backbone",
        "prompt.template=paper",
        f"prompt.true_answer={true}",
        f"prompt.false_answer={false}",
        code=2,
    ).stderr
    assert said.startswith(f"error: {message}")
    assert "prompt.true_answer and prompt.false_answer" in said
