"""Jobs: the whole chain, the index with what depends on it, the canaries, data versions."""

import dagster as dg

from dagster_project.defs.checks import answers_team_canaries
from dagster_project.defs.presentation import table
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.failures import as_failure
from dagster_project.policy import ACCELERATOR, PARTITIONS

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


class DataVersions(dg.Config):
    """What to compare."""

    versions: list[str]
    """Git revisions that hold a data.dvc, or md5s that it held."""


@dg.op(pool=ACCELERATOR)
def measure_data_versions(
    context: dg.OpExecutionContext, config: DataVersions, workspace: WorkspaceResource
) -> None:
    """Run the chain on each version, apart from what is served."""
    from rabtriever_core.automation import data_versions

    opened = workspace.open()
    with as_failure():
        found = data_versions.measure_versions(opened, config.versions)
        path = data_versions.write_comparison(found, opened.measurements)
    rows = data_versions.table_rows(found)
    context.add_output_metadata(
        {
            "versions": table(list(rows[0]), [list(row.values()) for row in rows]),
            "results": dg.MetadataValue.path(path),
        }
    )
    problems = [f"{version.name}: {version.problem}" for version in found if version.problem]
    if problems:
        raise dg.Failure("; ".join(problems), allow_retries=False)


@dg.job(
    partitions_def=PARTITIONS,
    description="Back-fill for comparison: the chain on past versions of the data, side by side; "
    "what is served stays as it is.",
)
def compare_data() -> None:
    """One step: versions run one after another and share what they have in common."""
    measure_data_versions()
