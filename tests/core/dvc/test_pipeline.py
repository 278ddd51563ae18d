"""dvc.yaml is the table of stages, and DVC accepts it."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from rabtriever_core.config import TeacherConfig
from rabtriever_core.config.params_file import default_settings, params_yaml
from rabtriever_core.config.presets import preset_settings
from rabtriever_core.dvc.pipeline import dvc_yaml
from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.stages import STAGES, run_stage, stage_named
from rabtriever_core.workspace import Workspace
from tests import standins

ROOT = Path(__file__).parents[3]


ALL = default_settings().model_dump(mode="json")


def test_one_stage_per_entry_of_the_table() -> None:
    stages = yaml.safe_load(dvc_yaml(ALL))["stages"]
    assert list(stages) == [stage.name for stage in STAGES]
    for stage in STAGES:
        entry = stages[stage.name]
        version = f"--code-version {stage.version}"
        assert entry["cmd"] == f"rabtriever run {stage.name} --workspace . {version}"
        assert entry["outs"] == [{stage.out: {"persist": True}}]
        inputs = [f"artifacts/{name}" for name in stage.inputs_with(default_settings())]
        assert entry["deps"] == (inputs or ["${dataset.folder}"])


def test_dvc_watches_what_shapes_a_stage_and_stands_in_the_file() -> None:
    """It refuses names that params.yaml lacks; what is not there has its default."""

    def watched(params: dict[str, Any]) -> list[str]:
        found: list[str] = yaml.safe_load(dvc_yaml(params))["stages"]["teacher"]["params"]
        return found

    whole = watched(ALL)
    assert {"dataset", "teacher", "backbone.model", "runtime.seed"} <= set(whole)
    assert not {"runtime", "runtime.threads", "runtime.device"} & set(whole)
    assert watched({"runtime": {"seed": 1, "threads": 2}, "backbone": {}}) == ["runtime.seed"]
    text = dvc_yaml({"dataset": {"name": "x"}})
    assert "- data/demo" in text and "- artifacts/backbone" in text


def test_dvc_follows_what_the_settings_let_a_stage_read() -> None:
    def read(stage: str, params: dict[str, Any]) -> list[str]:
        found: list[str] = yaml.safe_load(dvc_yaml(params))["stages"][stage]["deps"]
        return [name.removeprefix("artifacts/") for name in found if "validated" not in name]

    assert read("teacher", {}) == ["backbone"]
    assert read("teacher", {"teacher": {"start": "bi_encoder"}}) == ["bi_encoder"]
    both = {"teacher": {"start": "backbone", "encoder": "bi_encoder"}}
    assert read("teacher", both) == ["backbone", "bi_encoder"]
    assert read("bi_encoder", {}) == ["backbone"]
    assert read("bi_encoder", {"bi_encoder": {"encoder": "minilm"}}) == []


def test_every_start_of_the_teacher_is_an_input() -> None:
    starts = get_args(TeacherConfig.model_fields["start"].annotation)
    reads = stage_named("teacher").only_if
    assert {value for pairs in reads.values() for _, value in pairs} == set(starts)
    assert set(reads) < set(stage_named("teacher").inputs)


def test_the_checked_in_files_are_current() -> None:
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert params == params_yaml(preset_settings("pretrained")), "run `make generated`"
    pipeline = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert pipeline == dvc_yaml(yaml.safe_load(params)), "run `make generated`"


def test_dvc_shows_metrics_and_plots_and_finds_nothing_to_do(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    for stage in STAGES:
        run_stage(workspace, stage.name)
    run_dvc(workspace.root, "commit", "--force")
    assert "up to date" in run_dvc(workspace.root, "status")
    assert "splits.test.systems.student.metrics.MRR@10" in run_dvc(
        workspace.root, "metrics", "show"
    )
    shown = run_dvc(workspace.root, "plots", "show", "--json")
    for name in ("backbone", "bi_encoder", "teacher", "student"):
        assert f"artifacts/{name}/history.csv" in shown
