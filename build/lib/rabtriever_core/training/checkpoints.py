"""Checkpoints: sealed when they are complete, so that a run resumes only from a sound one."""

import json
import logging
from pathlib import Path

from rabtriever_core.workspace.artifacts import folder_md5s
from rabtriever_core.workspace.atomic import write_json

logger = logging.getLogger(__name__)

SEAL = "md5s.json"


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end and is as it was written.

    A damaged one would be resumed from to another model, under the name of the same inputs.
    """
    found = sorted(
        folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True
    )
    for path in found:
        try:
            sealed = json.loads((path / SEAL).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            logger.warning("%s is incomplete (the run was killed while saving): skipped", path.name)
            continue
        if sealed == _contents(path):
            return path
        logger.warning("%s is damaged: skipped", path.name)
    return None


def seal(checkpoint: Path) -> None:
    """Note the md5 of every file of a finished checkpoint, last of all."""
    write_json(checkpoint / SEAL, _contents(checkpoint))


def _contents(checkpoint: Path) -> dict[str, str]:
    return {path: md5 for path, md5 in folder_md5s(checkpoint).items() if path != SEAL}
