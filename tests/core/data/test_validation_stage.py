"""Rules that stop the chain, and the stage that records them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data.validation import validate_dataset
from rabtriever_core.errors import DatasetError, ValidationStoppedError
from rabtriever_core.stages import run_stage, stage_named
from rabtriever_core.stages.run import load_inputs
from rabtriever_core.stages.validated_dataset import fingerprint
from rabtriever_core.workspace import Workspace
from tests.core.data.authored import clean_rows, write


def test_every_rule_over_the_whole_set_stops_the_chain_by_name(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    qrels = {
        "train": qrels["train"][:5],
        "test": ["q27\td0\t0"],
        "ghost": ["nobody\td0\t1"],
        "header_only": [],
    }
    outcome = validate_dataset(
        write(tmp_path / "raw", documents, queries, qrels),
        tmp_path / "out",
        DatasetConfig(),
        ValidationConfig(min_documents=5),
    )
    assert not outcome.passed
    assert outcome.broken == (
        "enough_documents",
        "splits_present",
        "splits_not_empty",
        "splits_have_relevant",
        "enough_training_queries",
        "quarantined_share",
    )
    findings = (tmp_path / "out" / "validation.json").read_text(encoding="utf-8")
    for sentence in (
        "found 4",
        "ghost: no judgement is left",
        "header_only: no judgement is left",
        "test: every label is 0",
        "train: 5 queries with a relevant document, needed are 20",
        "qrels/ghost.tsv: 1 of 1 rows quarantined (100.0%)",
    ):
        assert sentence in findings


def test_repeated_queries_can_be_counted_instead_of_quarantined(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    queries.append({"_id": "copy", "text": "question 0"})
    qrels["train"].append("copy\td0\t1")
    outcome = validate_dataset(
        write(tmp_path / "raw", documents, queries, qrels),
        tmp_path / "out",
        DatasetConfig(),
        ValidationConfig(duplicate_queries="warn"),
    )
    assert outcome.warnings == ("query_not_repeated: 1 of 31 rows in splits",)
    assert not any(outcome.quarantined.values())


def workspace(root: Path, demo: str = "false") -> Workspace:
    (root / "params.yaml").write_text(f"dataset: {{demo: {demo}, folder: raw}}\n", encoding="utf-8")
    return Workspace.open(root)


def test_the_stage_records_an_unfit_set_and_the_next_stage_refuses(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    write(tmp_path / "raw", documents, queries, qrels | {"train": qrels["train"][:5]})
    space = workspace(tmp_path)
    artifact = run_stage(space, "validated_dataset")
    assert artifact.meta.metrics["passed"] is False
    assert artifact.meta.metrics["broken"] == ["enough_training_queries"]
    assert artifact.meta.metrics["queries"] == {"dev": 3, "test": 3, "train": 5}
    assert "breaks enough_training_queries" in space.validation_page.read_text(encoding="utf-8")
    with pytest.raises(ValidationStoppedError, match="enough_training_queries"):
        load_inputs(space, stage_named("backbone"))
    assert run_stage(space, "validated_dataset").reused


def test_fingerprint_follows_the_raw_bytes_only(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    space = workspace(tmp_path)
    before = fingerprint(space)
    (raw / "README.md").write_text("notes", encoding="utf-8")
    assert fingerprint(space) == before
    with (raw / "qrels" / "dev.tsv").open("a", encoding="utf-8") as file:
        file.write("q24\td1\t0\n")
    assert fingerprint(space) != before
    (raw / "queries.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"queries\.jsonl"):
        fingerprint(space)


def test_a_missing_folder_is_named_unless_the_demo_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"raw; put corpus\.jsonl.* or set dataset\.folder"):
        fingerprint(workspace(tmp_path))
    metrics = run_stage(workspace(tmp_path, demo="true"), "validated_dataset").meta.metrics
    assert metrics["passed"]
    assert metrics["documents"] > 0
    assert not any(metrics["quarantined"].values())


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    del qrels["dev"]
    write(tmp_path / "raw", documents, queries, qrels)
    run_stage(workspace(tmp_path), "validated_dataset")
    said = r"qrels/dev\.tsv: there is no such file; there are qrels/test\.tsv, qrels/train\.tsv"
    with pytest.raises(ValidationStoppedError, match=rf"splits_present \({said}\)"):
        load_inputs(workspace(tmp_path), stage_named("backbone"))
    ran = CliRunner().invoke(app, ["run", "validated_dataset", "-w", str(tmp_path)])
    assert ran.exit_code == 1
    assert re.search(rf"the data set broke: splits_present \({said}\)", ran.output)


def test_a_run_says_what_went_to_quarantine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents, queries, qrels = clean_rows()
    documents[0] = {"id": "d0", "text": "document 0"}
    qrels["train"] += ["q1\tnothing\t1", "q2\td1\tyes"]
    write(tmp_path / "raw", documents, queries, qrels)
    artifact = run_stage(workspace(tmp_path), "validated_dataset")
    lines = [
        "quarantined: 2 rows (2 of 26 in qrels/train.tsv), see "
        f"{artifact.folder / 'quarantine.jsonl'}",
        "  judgement_document_known: 1, such as qrels/train.tsv:26: dangling: document 'nothing' "
        "is not in corpus.jsonl",
        "  judgement_label_allowed: 1, such as qrels/train.tsv:27: label 'yes' is not one of 0, 1, "
        "2, 3",
        "read in another layout: corpus.jsonl: id stands for _id (once)",
    ]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == lines
    # And again, where the validation is up to date.
    ran = CliRunner().invoke(app, ["run", "validated_dataset", "-w", str(tmp_path)])
    assert [line.removeprefix("  ") for line in ran.stdout.split("\n")[1:5]] == lines


def test_macos_leftovers_change_nothing(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    before = fingerprint(workspace(tmp_path))
    (raw / "qrels" / "._train.tsv").write_bytes(b"\x00\x05\x16\x07")
    assert fingerprint(workspace(tmp_path)) == before
