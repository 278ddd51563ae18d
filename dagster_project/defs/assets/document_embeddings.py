"""Asset: one vector per document, in shards."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset


@stage_asset("document_embeddings", group="index", kinds={"pytorch", "numpy"}, pool=ACCELERATOR)
def document_embeddings(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Encode every document."""
    return result(workspace.run("document_embeddings", force=config.force))
