"""Asset: one vector per document, in shards."""

import dagster as dg

from dagster_project.defs.presentation import Metadata, StageRun, figures
from dagster_project.defs.resources import Recorded, WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import ACCELERATOR, stage_asset
from rabtriever_core.workspace import Workspace


@stage_asset("document_embeddings", group="index", kinds={"pytorch", "numpy"}, pool=ACCELERATOR)
def document_embeddings(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Encode every document."""
    recorded = workspace.run("document_embeddings", force=config.force)
    return result(recorded, shown(recorded, workspace.open()))


def shown(recorded: Recorded, workspace: Workspace) -> Metadata:
    """How much was embedded, and how fast."""
    work = {} if recorded.artifact.reused else workspace.embedding_work()
    extra: Metadata = {
        f"last embedding: {name}": dg.MetadataValue.float(value) for name, value in figures(work)
    }
    extra["embedded now"] = dg.MetadataValue.float(float(work.get("embedded", 0)))
    return extra
