"""Asset: the predictor that replaces the teacher at query time."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("student", group="models", kinds={"pytorch", "huggingface"}, pool=ACCELERATOR)
def student(config: StageRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Distil the student."""
    return result(workspace.run("student", force=config.force))
