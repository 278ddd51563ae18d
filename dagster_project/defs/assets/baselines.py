"""Asset: the further systems to compare with, where any are named."""

import dagster as dg

from dagster_project.defs.presentation import StageRun, history_plot
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("baselines", group="models", kinds={"pytorch", "huggingface"}, pool=ACCELERATOR)
def baselines(config: StageRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Train what baselines.systems names."""
    recorded = workspace.run("baselines", force=config.force)
    curves = sorted(recorded.artifact.folder.glob("*/history.csv"))
    return result(
        recorded, {f"history of {path.parent.name}": history_plot(path) for path in curves}
    )
