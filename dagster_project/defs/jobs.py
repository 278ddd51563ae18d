"""Jobs: the whole chain, and the index with its calibration."""

import dagster as dg

full_pipeline = dg.define_asset_job(
    "full_pipeline",
    selection=dg.AssetSelection.all(),
    description="Everything from the raw data to the benchmark; what is up to date is kept.",
)

reindex = dg.define_asset_job(
    "reindex",
    selection=dg.AssetSelection.assets("document_embeddings", "calibration", "qdrant_collection"),
    description="Embed the documents, calibrate on them, serve them from a new collection.",
)
