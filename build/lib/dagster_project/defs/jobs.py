"""Jobs: the whole chain, the parts that changed data often need, the canaries, data versions."""

from typing import Any

import dagster as dg

from dagster_project.defs.checks import answers_team_canaries
from dagster_project.defs.presentation import table
from dagster_project.defs.resources import AS_NEEDED, WorkspaceResource
from dagster_project.failures import as_failure
from dagster_project.policy import ACCELERATOR, PARTITIONS, ROOTS
from dagster_project.workspaces import root_config

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


def keeping(kind: str) -> dict[str, Any]:
    """Run config of a job that keeps the served release's models: see `WorkspaceResource`."""
    # Dagster checks a job's config alone: where the workspaces are has to be said again.
    config = {**root_config(ROOTS), "retraining": kind}
    return {"resources": {"workspace": {"config": config}}}


retrain_as_needed = dg.define_asset_job(
    "retrain_as_needed",
    selection=dg.AssetSelection.all(),
    config=keeping(AS_NEEDED),
    description="New data: train again no more than their change asks for (retraining in "
    "params.yaml), release the outcome.",
)


reindex = dg.define_asset_job(
    "reindex",
    selection=dg.AssetSelection.assets(*_FROM_DATA, *_TO_RELEASE),
    config=keeping("reindex"),
    description="New data, the models that are served: embed the texts that are new, calibrate and "
    "measure on them, release the new collection.",
)

retrain_predictor = dg.define_asset_job(
    "retrain_predictor",
    selection=dg.AssetSelection.assets(*_FROM_DATA, "student", *_TO_RELEASE),
    config=keeping("predictor"),
    description="New data, the teacher that is served: train the predictor alone, embed the texts "
    "that are new, release the outcome.",
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
