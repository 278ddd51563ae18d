"""Jobs: the whole chain, and the parts of it that changed data often need no more than."""

import dagster as dg

from dagster_project.defs.resources import workspace_root

full_pipeline = dg.define_asset_job(
    "full_pipeline",
    selection=dg.AssetSelection.all(),
    description="Everything from the raw data to the release; what is up to date is kept.",
)

_FROM_DATA = ("dataset", "validated_dataset")
_TO_RELEASE = (
    "document_embeddings",
    "calibration",
    "qdrant_collection",
    "benchmark_report",
    "release",
)


def _keeping(kind: str) -> dict[str, object]:
    """Run config of a job that keeps the served release's models: see `WorkspaceResource`."""
    # Dagster checks a job's config alone: what is required has to be said again.
    config = {"root": str(workspace_root()), "retraining": kind}
    return {"resources": {"workspace": {"config": config}}}


reindex = dg.define_asset_job(
    "reindex",
    selection=dg.AssetSelection.assets(*_FROM_DATA, *_TO_RELEASE),
    config=_keeping("reindex"),
    description="New data, the models that are served: embed the texts that are new, calibrate and "
    "measure on them, release the new collection.",
)

retrain_predictor = dg.define_asset_job(
    "retrain_predictor",
    selection=dg.AssetSelection.assets(*_FROM_DATA, "student", *_TO_RELEASE),
    config=_keeping("predictor"),
    description="New data, the teacher that is served: train the predictor alone, embed the texts "
    "that are new, release the outcome.",
)
