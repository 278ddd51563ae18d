"""Asset: the raw data, as DVC keeps it."""

from pathlib import Path

import dagster as dg

from dagster_project.defs.presentation import Metadata, table
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import with_changes
from dagster_project.failures import as_failure
from dagster_project.policy import OWNERS, PARTITIONS, RETRIES
from rabtriever_core.data.dataset import qrels_files
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.data.layouts import is_header
from rabtriever_core.dvc.initialize import prepare_data
from rabtriever_core.dvc.recording import restore_data
from rabtriever_core.workspace import Workspace


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
    code_version="1",
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
    return dg.MaterializeResult(
        metadata=with_changes(shown(opened, md5)), data_version=dg.DataVersion(md5)
    )


def shown(workspace: Workspace, md5: str) -> Metadata:
    """The files, and their rows."""
    folder = workspace.dataset_folder
    files = [
        *(folder / name for name in ("corpus.jsonl", "queries.jsonl", FEEDBACK)),
        *qrels_files(folder),
    ]
    present = sorted(file for file in files if file.is_file())
    rows = [(str(path.relative_to(folder)), path.stat().st_size, _rows(path)) for path in present]
    return {
        "name": dg.MetadataValue.text(workspace.settings.dataset.name),
        "hash": dg.MetadataValue.text(md5),
        "folder": dg.MetadataValue.path(folder),
        "bytes": dg.MetadataValue.float(float(sum(size for _, size, _ in rows))),
        "files": table(("file", "bytes", "rows"), rows),
        **{f"rows of {name}": dg.MetadataValue.int(count) for name, _, count in rows},
    }


def _rows(path: Path) -> int:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = (line for line in file if line.strip())
        first = next(lines, None)
        headed = path.suffix == ".tsv" and first is not None and is_header(first.split("\t"))
        return sum(1 for _ in lines) + (first is not None and not headed)  # a header is no row
