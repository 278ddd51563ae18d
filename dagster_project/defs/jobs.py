"""Jobs: the whole chain, the index with what depends on it, the canaries, data versions."""

import dagster as dg

from dagster_project.defs.checks import answers_team_canaries

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

canary_watch = dg.define_asset_job(
    "canary_watch",
    selection=dg.AssetSelection.checks(answers_team_canaries),
    description="Ask the served release the queries of canaries.jsonl; nothing is changed.",
)
