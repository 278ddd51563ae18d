"""Asset: the baseline a user would pick instead."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("bi_encoder", group="models", kinds={"pytorch", "huggingface"}, pool=ACCELERATOR)
def bi_encoder(config: StageRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Train the baseline."""
    return result(workspace.run("bi_encoder", force=config.force))
