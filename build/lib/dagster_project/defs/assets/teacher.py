"""Asset: the generative reranker."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("teacher", group="models", kinds={"pytorch", "huggingface"}, pool=ACCELERATOR)
def teacher(config: StageRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Fine-tune the teacher."""
    return result(workspace.run("teacher", force=config.force))
