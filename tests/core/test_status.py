"""What is up to date and why not, in the words that every door uses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config.component import shaping_names
from rabtriever_core.config.params_file import default_settings
from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.stages import STAGES, qdrant_collection, run_stage
from rabtriever_core.stages import registry as registry_module
from rabtriever_core.stages.status import StageStatus, workspace_status
from rabtriever_core.workspace import PARAMS, Workspace
from tests import standins

NAMES = [stage.name for stage in STAGES]


@pytest.fixture
def finished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace in which every stage has run, with stand-ins, and was recorded in DVC."""
    standins.install(monkeypatch)
    for name in NAMES:
        run_stage(workspace, name)
    run_dvc(workspace.root, "commit", "--force")
    return workspace


def statuses(workspace: Workspace) -> dict[str, StageStatus]:
    return {each.stage: each for each in workspace_status(workspace)}


def told(workspace: Workspace, *arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(
        app, ["status", "--json", "-w", str(workspace.root), *arguments], catch_exceptions=False
    )
    found: list[dict[str, Any]] = json.loads(result.stdout)["stages"]
    assert result.exit_code == int(any(each["state"] != "up to date" for each in found))
    return found


def edit(workspace: Workspace, name: str, value: Any) -> Workspace:
    path = workspace.root / PARAMS
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    section, key = name.split(".")
    params.setdefault(section, {})[key] = value
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return Workspace.open(workspace.root)


def outdated_for_dvc(workspace: Workspace) -> set[str]:
    found = json.loads(run_dvc(workspace.root, "status", "--json"))
    return {name for name in found if not name.endswith(".dvc")}


def raised(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The package as it is when somebody raises the version of a stage."""
    table = tuple(
        replace(stage, version=stage.version + 1) if stage.name == name else stage
        for stage in STAGES
    )
    monkeypatch.setattr(registry_module, "STAGES", table)
    for module in ("status", "identity"):
        monkeypatch.setattr(f"rabtriever_core.stages.{module}.STAGES", table)
    monkeypatch.setattr("rabtriever_core.dvc.pipeline.STAGES", table)


def test_nothing_is_there_at_first(workspace: Workspace) -> None:
    found = statuses(workspace)
    assert list(found) == NAMES
    assert {each.state for each in found.values()} == {"missing"}
    assert not (workspace.root / "artifacts").exists(), "asking builds nothing"


def test_after_a_run_everything_is_up_to_date_at_every_door(finished: Workspace) -> None:
    assert [(each["stage"], each["state"]) for each in told(finished)] == [
        (name, "up to date") for name in NAMES
    ]
    assert outdated_for_dvc(finished) == set()
    assert all(run_stage(finished, name).reused for name in NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runtime.threads", 1),
        ("runtime.device", "cpu"),
        ("runtime.batch_multiple", 2),
        ("index.keep_collections", 7),
        ("index.timeout_seconds", 3.0),
        ("gates.teacher_mrr", 0.1),
        ("serving.max_batch", 8),
    ],
)
def test_settings_that_only_operate_make_nothing_anew(
    finished: Workspace, name: str, value: Any
) -> None:
    opened = edit(finished, name, value)
    assert {each["state"] for each in told(opened)} == {"up to date"}
    assert outdated_for_dvc(opened) == set()
    assert all(run_stage(opened, stage).reused for stage in NAMES)


def test_a_shaping_setting_is_named_and_what_follows_waits(finished: Workspace) -> None:
    opened = edit(finished, "student.temperature", 2.0)
    found = {each["stage"]: each for each in told(opened)}
    assert found["student"]["reasons"] == ["student.temperature = 2.0 (was 1.0)"]
    assert found["teacher"]["state"] == found["document_embeddings"]["state"] == "up to date"
    assert found["qdrant_collection"]["reasons"] == ["student is outdated"]
    assert "student" in outdated_for_dvc(opened)
    assert run_stage(opened, "student").reasons == ("student.temperature = 2.0 (was 1.0)",)


def test_a_setting_for_one_run_is_named_too(finished: Workspace) -> None:
    (student,) = [
        each
        for each in told(finished, "--set", "student.temperature=2")
        if each["stage"] == "student"
    ]
    assert student["state"] == "outdated"


def test_a_raised_version_is_wanted_at_every_door(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised(monkeypatch, "teacher")
    found = {each["stage"]: each for each in told(finished)}
    assert found["teacher"]["reasons"] == ["the stage's code is version 2 (was 1)"]
    assert found["bi_encoder"]["state"] == "up to date"
    assert found["student"]["reasons"] == ["teacher is outdated"]
    assert "teacher" in outdated_for_dvc(finished)
    assert run_stage(finished, "teacher").reasons == ("the stage's code is version 2 (was 1)",)


def test_a_dvc_yaml_of_another_version_does_not_run_the_wrong_code(finished: Workspace) -> None:
    result = CliRunner().invoke(
        app, ["run", "teacher", "-w", str(finished.root), "--code-version", "7"]
    )
    assert result.exit_code == 2
    assert "at version 7, this package at 1" in result.stderr


def test_damage_is_named_with_its_file(finished: Workspace) -> None:
    (finished.artifact("student") / "history.csv").write_text("damaged")
    found = statuses(finished)
    assert found["student"].state == "damaged"
    assert "history.csv" in found["student"].reasons[0]
    assert found["student"].hash is None
    assert found["teacher"].state == "up to date"


def test_changed_raw_data_are_seen(finished: Workspace) -> None:
    with (finished.dataset_folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "new", "text": "A new one."}\n')
    found = statuses(finished)
    assert found["validated_dataset"].reasons == ("the data set changed",)
    assert found["benchmark_report"].state == "outdated"


def test_a_collection_that_is_gone_is_seen(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdrant_collection, "is_live", lambda _: False, raising=False)
    status = statuses(finished)["qdrant_collection"]
    assert (status.state, len(status.reasons)) == ("outdated", 1)
    assert "Qdrant" in status.reasons[0]


def test_dry_run_says_the_same_and_builds_nothing(finished: Workspace) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished.root / "artifacts").rglob("*")}
    result = CliRunner().invoke(
        app,
        ["run", "all", "--dry-run", "--set", "student.temperature=2", "-w", str(finished.root)],
    )
    assert result.exit_code == 0
    assert "student.temperature = 2.0 (was 1.0)" in result.output
    assert before == {
        path: path.stat().st_mtime_ns for path in (finished.root / "artifacts").rglob("*")
    }


def test_every_shaping_setting_of_a_stage_exists() -> None:
    settings = default_settings()
    for stage in STAGES:
        assert all(shaping_names(settings, section) for section in stage.sections)


def test_status_of_a_folder_that_is_no_workspace(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "-w", str(tmp_path)])
    assert result.exit_code == 2
    assert "rabtriever init" in result.stderr
