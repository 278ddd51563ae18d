"""Asset: a collection, built and verified; the asset `release` serves it."""

import dagster as dg

from dagster_project.defs.presentation import Metadata, StageRun
from dagster_project.defs.resources import Recorded, WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import FRESHNESS, QDRANT_LOCAL, stage_asset
from rabtriever_core.workspace import Workspace


@stage_asset(
    "qdrant_collection", group="index", kinds={"qdrant"}, pool=QDRANT_LOCAL, freshness=FRESHNESS
)
def qdrant_collection(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Build a new collection and verify it."""
    recorded = workspace.run("qdrant_collection", force=config.force)
    return result(recorded, shown(recorded, workspace.open()))


def shown(recorded: Recorded, _: Workspace) -> Metadata:
    """Where the collection is."""
    metrics = recorded.artifact.meta.metrics
    return {name: dg.MetadataValue.text(metrics[name]) for name in ("alias", "collection", "mode")}
