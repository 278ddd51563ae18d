"""dvc.yaml is the table of stages, and DVC accepts it."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from rabtriever_core.config import TeacherConfig
from rabtriever_core.config.params_file import default_settings, params_yaml
from rabtriever_core.dvc.pipeline import dvc_yaml
from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.stages import STAGES, run_stage, stage_named
from rabtriever_core.workspace import Workspace
from tests import standins

ROOT = Path(__file__).parents[3]


def test_one_stage_per_entry_of_the_table() -> None:
    stages = yaml.safe_load(dvc_yaml())["stages"]
    assert list(stages) == [stage.name for stage in STAGES]
    for stage in STAGES:
        entry = stages[stage.name]
        assert entry["cmd"] == f"rabtriever run {stage.name} --workspace ."
        assert entry["params"] == list(stage.sections)
        assert entry["outs"] == [{stage.out: {"persist": True}}]
        inputs = [f"artifacts/{name}" for name in stage.inputs]
        if stage.name == "teacher":
            inputs = [i for i in inputs if i not in ("artifacts/backbone", "artifacts/bi_encoder")]
            inputs.append("artifacts/${teacher.start}")
        assert entry["deps"] == (inputs or ["${dataset.folder}"])


def test_every_start_of_the_teacher_is_an_input() -> None:
    choices = stage_named("teacher").choices
    assert choices == get_args(TeacherConfig.model_fields["start"].annotation)
    assert set(choices) < set(stage_named("teacher").inputs)


@pytest.mark.parametrize(
    ("name", "text"),
    [("dvc.yaml", dvc_yaml()), ("params.yaml", params_yaml(default_settings()))],
)
def test_the_checked_in_files_are_current(name: str, text: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == text, "run `make generated`"


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
