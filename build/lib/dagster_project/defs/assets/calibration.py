"""Asset: what the student's margin is worth as a probability, and when nothing fits."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("calibration", group="evaluation", kinds={"scipy"}, pool=ACCELERATOR)
def calibration(config: StageRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Fit probabilities and the threshold on dev."""
    return result(workspace.run("calibration", force=config.force))
