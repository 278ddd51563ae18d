"""What was found when the validated data were compared with the version before.

It lies beside the artifact, not in it: the same data are the same artifact whatever was there
before, so that nothing is trained again because another version is served.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rabtriever_core.errors import ArtifactError
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.atomic import write_text

FILE = "changes.json"


class Previous(BaseModel):
    """The version that was compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str | None
    """The release whose data they are; None for the version validated last."""
    hash: str
    """Of its artifact."""


class Verdict(BaseModel):
    """The outcome of a comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    current: str
    """Hash of the validated data."""
    previous: Previous | None
    """None for the first version."""
    bounds: dict[str, Any]
    """As they were."""
    changes: dict[str, Any] | None = None
    """See `data.changes.Changes`."""
    scores: dict[str, float] | None = None
    """Of the served student: drift, and the mean best margin before and now."""
    broken: tuple[str, ...] = ()
    """Rules that stop the chain, with their first finding."""
    warnings: tuple[str, ...] = ()


def read_verdict(workspace: Workspace) -> Verdict | None:
    """The outcome of the last comparison; None before the first.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = verdict_file(workspace)
    if not path.is_file():
        return None
    try:
        return Verdict.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({' '.join(str(error).split()):.200}): delete it and run "
            "`rabtriever run validated_dataset`"
        ) from None


def write_verdict(workspace: Workspace, verdict: Verdict) -> None:
    """Replace the outcome in one step."""
    write_text(verdict_file(workspace), verdict.model_dump_json(indent=2) + "\n")


def broken_changes(workspace: Workspace, validated: str) -> tuple[str, ...]:
    """What stops the chain on the validated data of this hash; nothing where not compared.

    Raises:
        ArtifactError: the file is damaged.
    """
    verdict = read_verdict(workspace)
    return verdict.broken if verdict is not None and verdict.current == validated else ()


def verdict_file(workspace: Workspace) -> Path:
    """Where the outcome lies."""
    return workspace.data_changes / FILE
