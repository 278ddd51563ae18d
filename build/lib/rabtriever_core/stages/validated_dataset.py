"""Stage validated_dataset: the raw folder in, a clean BEIR folder and its findings out."""

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import qrels_files
from rabtriever_core.data.feedback import FEEDBACK, feedback_lines
from rabtriever_core.data.findings import QUARANTINE, findings
from rabtriever_core.data.raw import CORPUS, QUERIES
from rabtriever_core.errors import DatasetError
from rabtriever_core.stages.context import StageContext
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)

LINES = "feedback_lines"


def make(context: StageContext) -> dict[str, Any]:
    """Validate; an unfit data set is recorded as such, and the stages after it refuse to run.

    Raises:
        DatasetError: there is no raw folder, or a file in it cannot be read.
    """
    # Loads numpy, which those who only ask for the fingerprint do without.
    from rabtriever_core.data.validation import validate_dataset

    settings = context.settings
    outcome = validate_dataset(
        _raw_folder(context.workspace),
        context.output,
        settings.dataset,
        settings.validation,
    )
    metrics = {
        "passed": outcome.passed,
        "broken": list(outcome.broken),
        "documents": outcome.rows_left[CORPUS],
        "queries": outcome.queries,
        "rows": outcome.rows,
        "quarantined": outcome.quarantined,
        "reasons": outcome.reasons,
        "examples": outcome.examples,
        "findings": outcome.findings,
        "read_as": list(outcome.read_as),
        "warnings": list(outcome.warnings),
    }
    for line in findings(metrics, context.workspace.artifact("validated_dataset") / QUARANTINE):
        logger.warning(line)
    return metrics | ({LINES: outcome.feedback_lines} if outcome.feedback_lines else {})


def fingerprint(workspace: Workspace, metrics: Mapping[str, Any] | None = None) -> str:
    """Hash of the raw folder's bytes; the bundled demo is written first where it is wanted.

    Args:
        workspace: whose data.
        metrics: of a validation, as `make` returned them: feedback that came after it is left out,
            since a service goes on adding to it while others validate, train and release.

    Raises:
        DatasetError: there is no raw folder, or a file of it is missing.
    """
    folder = _raw_folder(workspace)
    digest = hashlib.sha256()
    for path in (folder / CORPUS, folder / QUERIES, *qrels_files(folder)):
        if not path.is_file():
            raise DatasetError(f"no file {path}: a BEIR folder holds {CORPUS}, {QUERIES}, qrels/")
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    lines = feedback_lines(folder)
    if metrics is not None:
        lines = lines[: metrics.get(LINES, 0)]
    if lines:
        content = hashlib.sha256(b"\n".join(lines)).hexdigest()
        digest.update(f"{FEEDBACK}\0{content}\n".encode())
    return digest.hexdigest()


def _raw_folder(workspace: Workspace) -> Path:
    folder = workspace.dataset_folder
    if folder.is_dir():
        return folder
    if not workspace.settings.dataset.demo:
        raise DatasetError(
            f"no such folder: {folder}; put {CORPUS}, {QUERIES} and qrels/*.tsv there, or set "
            "dataset.folder to where they are (dataset.demo=true writes the bundled demo set)"
        )
    from rabtriever_core.data.demo import write_demo

    folder.parent.mkdir(parents=True, exist_ok=True)
    # Moved into place when complete: a killed run leaves no half-written set behind.
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=folder.parent) as scratch:
        write_demo(Path(scratch) / "demo")
        (Path(scratch) / "demo").rename(folder)
    return folder
