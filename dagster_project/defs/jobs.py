"""Jobs: the whole chain, and the index with what depends on it."""

import dagster as dg

full_pipeline = dg.define_asset_job(
    "full_pipeline",
    selection=dg.AssetSelection.all(),
    description="Everything from the raw data to the release; what is up to date is kept.",
)

reindex = dg.define_asset_job(
    "reindex",
    selection=dg.AssetSelection.assets(
        "document_embeddings", "calibration", "qdrant_collection", "benchmark_report", "release"
    ),
    description="Embed the documents, calibrate and measure on them, release the new collection.",
)
