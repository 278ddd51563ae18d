"""Asset: a collection, built and verified; the asset `release` serves it."""

import dagster as dg

from dagster_project.defs.presentation import StageRun
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import FRESHNESS, QDRANT_LOCAL, stage_asset


@stage_asset(
    "qdrant_collection", group="index", kinds={"qdrant"}, pool=QDRANT_LOCAL, freshness=FRESHNESS
)
def qdrant_collection(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Build a new collection and verify it."""
    recorded = workspace.run("qdrant_collection", force=config.force)
    metrics = recorded.artifact.meta.metrics
    return result(
        recorded,
        {
            "alias": dg.MetadataValue.text(metrics["alias"]),
            "collection": dg.MetadataValue.text(metrics["collection"]),
            "mode": dg.MetadataValue.text(metrics["mode"]),
        },
    )
