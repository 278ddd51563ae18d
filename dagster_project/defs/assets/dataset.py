"""Asset: the raw data, as DVC keeps it."""

import dagster as dg

from dagster_project.defs.presentation import table
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.failures import as_failure
from dagster_project.policy import OWNERS, PARTITIONS, RETRIES
from rabtriever_core.artifacts import code_hash
from rabtriever_core.initialize import prepare_data
from rabtriever_core.versioning import restore_data


class DatasetRun(dg.Config):
    """Options of one materialization."""

    accept_changes: bool = False
    """Record the demo's bytes although data.dvc holds others."""
    checkout: bool = False
    """First bring the data that data.dvc records, from DVC's cache or remote."""


@dg.asset(
    description="The raw data in BEIR layout under data.dvc; the demo set is written when missing.",
    group_name="data",
    kinds={"dvc", "json"},
    owners=OWNERS,
    tags={"dvc_file": "data"},
    code_version=code_hash("data/demo"),
    retry_policy=RETRIES,
    partitions_def=PARTITIONS,
)
def dataset(config: DatasetRun, workspace: WorkspaceResource) -> "dg.MaterializeResult[None]":
    """Write, verify and record the raw data."""
    opened = workspace.open()
    with as_failure():
        if config.checkout:
            restore_data(opened)
        md5 = prepare_data(opened, accept=config.accept_changes)
    folder = opened.dataset_folder
    files = [folder / "corpus.jsonl", folder / "queries.jsonl", *folder.glob("qrels/*.tsv")]
    present = sorted(file for file in files if file.is_file())
    rows = [(file.relative_to(folder), file.stat().st_size) for file in present]
    return dg.MaterializeResult(
        metadata={
            "name": opened.settings.dataset.name,
            "hash": md5,
            "folder": dg.MetadataValue.path(folder),
            "bytes": float(sum(size for _, size in rows)),
            "files": table(("file", "bytes"), rows),
        },
        data_version=dg.DataVersion(md5),
    )
