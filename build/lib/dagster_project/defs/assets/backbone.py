"""Asset: the causal language model under teacher, student and bi-encoder."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("backbone", group="models", kinds={"pytorch", "huggingface"}, pool=ACCELERATOR)
def backbone(config: StageRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Fetch the backbone, or train the tiny one from scratch."""
    return result(workspace.run("backbone", force=config.force))
