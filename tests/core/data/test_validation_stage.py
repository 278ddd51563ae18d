"""Rules that stop the chain, and the stage that records them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data import overlap
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
        tmp_path / "docs",
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
        tmp_path / "docs",
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
    assert (space.data_docs / "index.html").is_file()
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


def test_texts_are_compared_without_case_and_spacing() -> None:
    assert overlap.normalised(" Straße\n\tNR  5 ") == overlap.normalised("STRASSE nr 5")
