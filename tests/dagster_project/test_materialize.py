"""The graph runs, records itself, stops where it must; with stages that take no time."""

import json
import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.defs import resources
from dagster_project.defs.resources import WorkspaceResource
from rabtriever_core.dvc.recording import data_md5, recorded_md5, run_dvc
from rabtriever_core.errors import IndexUnavailableError, ModelError
from rabtriever_core.releases import promotion
from rabtriever_core.releases.gate_names import GATES
from rabtriever_core.releases.promotion import Outcome
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests import standins
from tests.dagster_project.conftest import Materialize
from tests.dagster_project.outcomes import checks, data_version, materialized, metadata


def test_the_whole_graph_and_both_ledgers_agree(
    materialize: Materialize, workspace: Workspace
) -> None:
    result = materialize()
    assert result.success
    assert len(materialized(result)) == 11
    assert [name for name, passed in checks(result).items() if not passed] == ["no_findings"]
    assert set(GATES) | {"answers_as_promoted"} < set(checks(result))
    for name in materialized(result) - {"dataset", "release"}:
        version = data_version(result, name)
        assert version == recorded_md5(workspace, name)
        assert version == load_artifact(workspace.artifact(name)).hash
    assert data_version(result, "dataset") == data_md5(workspace.root)
    assert "up to date" in run_dvc(workspace.root, "status")

    teacher = metadata(result, "teacher")
    assert teacher["dev MRR@10"] == 0.5
    assert teacher["final_loss"] == 0.125
    assert teacher["reused"] is False
    assert teacher["history"].startswith("![training loss](data:image/png;base64,iVBOR")
    assert len(teacher["history"]) < 60_000
    assert "| backbone | " in teacher["inputs"]
    assert teacher["config"]["teacher"]["schedule"]
    assert "| corpus.jsonl | 4 | 1 |" in metadata(result, "validated_dataset")["rows by file"]
    report = metadata(result, "benchmark_report")
    assert report["test student MRR@10"] == 0.5
    assert "Bi-encoder" in report["summary"]
    assert report["report"] == str(workspace.reports / "benchmark.html")
    assert "the student reaches 100% of the teacher's MRR@10" in report["headline"]
    validated = metadata(result, "validated_dataset")
    assert validated["validation page"] == str(workspace.validation_page)
    assert "| corpus.jsonl:2 | empty |" in validated["first quarantined rows"]
    assert "| enough_documents | False | 4 | 1 | there are documents" in validated["rules"]
    released = metadata(result, "release")
    assert (released["release"], released["decision"]) == ("0001-abcdef", "promoted")
    assert data_version(result, "release") == "0001-abcdef"
    assert released["test student MRR@10"] == 0.5
    assert "| not_worse | True | not_worse! |" in released["gates"]
    assert released["changes"] == "The first release here."
    assert f"| data | {'cd' * 16} | raw rows (data.dvc) |" in released["lineage"]
    assert released["report"].endswith("/reports/benchmark.html")
    assert metadata(result, "dataset")["rows of qrels/dev.tsv"] > 0
    for event in result.get_asset_materialization_events():
        # A browser opens no file from a page that a server gave it.
        assert not any(
            isinstance(v, dg.UrlMetadataValue) for v in event.materialization.metadata.values()
        )
    for name in materialized(result):
        assert metadata(result, name)["since last time"] == "Materialized for the first time here."


def test_the_second_time_says_what_changed(
    materialize: Materialize, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resources, "record_stage", lambda *_: "md5")
    materialize("key:validated_dataset or key:backbone")
    unchanged = metadata(materialize("backbone"), "backbone")["since last time"]
    assert "| reused | False | True |" in unchanged
    assert "MRR@10" not in unchanged
    standins.install(monkeypatch, backbone=standins.standin("backbone", dev_mrr=0.625))
    caplog.set_level(logging.INFO)
    changed = materialize("backbone", backbone={"config": {"force": True}})
    assert (
        "| dev MRR@10 | 0.5 | 0.625 | +0.125 |" in metadata(changed, "backbone")["since last time"]
    )
    assert "backbone: dev MRR@10 0.5 → 0.625 (+0.125)" in caplog.text


def test_up_to_date_artifacts_are_reused_unless_forced(
    materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "record_stage", lambda *_: "md5")

    def reused(**config: Any) -> bool:
        result = materialize("validated_dataset", **config)
        return bool(metadata(result, "validated_dataset")["reused"])

    assert [reused(), reused()] == [False, True]
    assert not reused(validated_dataset={"config": {"force": True}})


def test_unfit_data_stops_everything_and_is_not_recorded(
    materialize: Materialize, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = standins.standin("validated_dataset")
    broken = {"passed": False, "broken": ["enough_documents"]}
    standins.install(monkeypatch, validated_dataset=lambda context: make(context) | broken)
    result = materialize()
    assert not result.success
    assert materialized(result) == {"dataset", "validated_dataset"}
    assert checks(result) == {
        "fit_for_use": False,
        "no_findings": False,
        "fits_version_before": True,
    }
    (evaluation, *_) = result.get_asset_check_evaluations()
    assert evaluation.description == "broken rules: enough_documents"
    shown = evaluation.metadata["rules broken"].value
    assert "| enough_documents | clean_splits | 1 | 4 | there are documents \\| many |" in str(
        shown
    )
    assert recorded_md5(workspace, "validated_dataset") is None


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ModelError("no model: do this"), 1),
        (IndexUnavailableError("no server: start it"), 2),
    ],
)
def test_errors_become_failures_and_only_a_missing_index_is_retried(
    materialize: Materialize,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    attempts: int,
) -> None:
    calls = []

    def fail(_: object) -> dict[str, Any]:
        calls.append(1)
        raise error

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda *_: 0)
    materialize("validated_dataset")
    standins.install(monkeypatch, backbone=fail)
    result = materialize("backbone")
    (event,) = result.filter_events(lambda e: e.is_step_failure)
    failure = event.step_failure_data
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == str(error)
    assert failure.user_failure_data.metadata["error"].value == type(error).__name__
    assert len(calls) == attempts


def test_weak_models_are_marked_and_do_not_stop_the_rest(
    workspace: Workspace, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "record_stage", lambda *_: "md5")
    standins.install(
        monkeypatch,
        teacher=standins.standin("teacher", dev_mrr=0.25),
        student=standins.standin("student", dev_mrr=0.2),
    )
    for stage in ("validated_dataset", "backbone", "bi_encoder"):
        run_stage(workspace, stage)
    result = materialize(dg.AssetSelection.assets("teacher", "student"))
    assert result.success
    outcome = checks(result)
    assert (outcome["above_floor"], outcome["near_teacher"]) == (False, False)


def test_models_measured_on_different_samples_are_not_compared(
    workspace: Workspace, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    """benchmark.dev_queries changed between the two trainings."""
    monkeypatch.setattr(resources, "record_stage", lambda *_: "md5")
    standins.install(monkeypatch, student=standins.standin("student", dev_queries=2))
    for stage in ("validated_dataset", "backbone", "teacher"):
        run_stage(workspace, stage)
    result = materialize(dg.AssetSelection.assets("student"))
    assert checks(result) == {"near_teacher": False}
    (evaluation,) = result.get_asset_check_evaluations()
    assert str(evaluation.description).startswith(
        "measured on 2 queries and 3 documents, the teacher on 3 queries and 3 documents"
    )


def test_a_refused_candidate_ends_the_run_with_the_reason(
    workspace: Workspace, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def refuse(_: Workspace, **given: Any) -> Outcome:
        asked.append(given)
        return standins.outcome("not_worse")

    monkeypatch.setattr(promotion, "promote", refuse)
    result = materialize(dg.AssetSelection.assets("release"))
    assert not result.success
    assert materialized(result) == set()
    assert [name for name, passed in checks(result).items() if not passed] == ["not_worse"]
    (event,) = result.filter_events(lambda e: e.is_step_failure)
    stated = event.step_failure_data.user_failure_data
    assert stated is not None
    assert stated.description == (
        "release 0001-abcdef is refused, what was served stays: not_worse: not_worse!"
    )
    assert asked[0]["by"].startswith("dagster run ")
    half = {"release": {"config": {"override_by": "ana"}}}
    assert not materialize(dg.AssetSelection.assets("release"), **half).success
    whole = {"release": {"config": {"override_by": "ana", "override_reason": "recall"}}}
    materialize(dg.AssetSelection.assets("release"), **whole)
    assert asked[1:] == [{"by": "ana", "override": "recall"}]


def test_changed_demo_data_needs_consent(materialize: Materialize, workspace: Workspace) -> None:
    before = data_md5(workspace.root)
    with (workspace.dataset_folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"_id": "x", "text": "new"}) + "\n")
    assert not materialize("dataset").success
    assert data_md5(workspace.root) == before
    accepted = materialize("dataset", dataset={"config": {"accept_changes": True}})
    assert accepted.success
    assert metadata(accepted, "dataset")["hash"] == data_md5(workspace.root) != before


def test_the_resource_runs_where_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(dg.Failure, match="rabtriever init"):
        WorkspaceResource(root=str(tmp_path)).run("teacher", force=False)
