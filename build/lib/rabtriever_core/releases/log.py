"""The log of promotions: `releases/log.jsonl`, one line per decision, appended only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rabtriever_core.errors import ReleaseError
from rabtriever_core.releases.record import releases_folder
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.atomic import write_text
from rabtriever_core.workspace.encodable import Encodable

FILE = "log.jsonl"

Action = Literal["promote", "override", "rollback", "restore", "found", "refused", "retired"]
SERVING: tuple[Action, ...] = ("promote", "override", "rollback", "restore", "found")
"""Actions after which the release is the served one; `found` are those whose process was killed
before it could say so."""


class Event(BaseModel):
    """One decision; the lines' order is theirs, whatever the clock said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: datetime
    action: Action
    release: str
    alias: str
    by: Encodable
    reason: Encodable = ""


def read_log(workspace: Workspace) -> list[Event]:
    """The decisions under the workspace's alias, in order.

    Raises:
        ReleaseError: a line is damaged.
    """
    return [event for event in every_event(workspace) if event.alias == workspace.alias]


def every_event(workspace: Workspace) -> list[Event]:
    """The decisions under all aliases, in order.

    Raises:
        ReleaseError: a line is damaged.
    """
    path = releases_folder(workspace) / FILE
    events = []
    # Not `splitlines`, which ends a line at characters that JSON leaves as they are (U+2028).
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            events.append(Event.model_validate_json(line))
        except ValidationError as error:
            problem = " ".join(str(error).split())
            raise ReleaseError(
                f"{path}, line {number} is damaged ({problem:.200}): restore the file from git"
            ) from None
    return events


def append(workspace: Workspace, action: Action, release: str, by: str, reason: str = "") -> Event:
    """Add a line; the file is replaced by a whole one, so that no line is ever half-written."""
    event = Event(
        time=now(), action=action, release=release, alias=workspace.alias, by=by, reason=reason
    )
    path = releases_folder(workspace) / FILE
    before = _text(path)
    if before and not before.endswith("\n"):  # somebody edited the file
        before += "\n"
    write_text(path, before + event.model_dump_json() + "\n")
    return event


def _text(path: Path) -> str:
    """Content of the log; without the mark that some editors put at its start."""
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ReleaseError(
            f"{path}, line {line} is damaged ({error.reason}): restore the file from git"
        ) from None


def now() -> datetime:
    """The clock, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def last_served(events: Sequence[Event]) -> str | None:
    """The release that the log says is served; None before the first promotion."""
    return served_before(events, None)


def served_before(events: Sequence[Event], served: str | None) -> str | None:
    """The release served last that is not `served`: where a rollback leads."""
    for event in reversed(events):
        if event.action in SERVING and event.release != served:
            return event.release
    return None


def rolled_back(events: Sequence[Event]) -> dict[str, Event]:
    """Releases that somebody went back from, and has not served again since."""
    left: dict[str, Event] = {}
    served: str | None = None
    for event in events:
        if event.action not in SERVING:
            continue
        if event.action == "rollback" and served not in (None, event.release):
            left[str(served)] = event
        left.pop(event.release, None)
        served = event.release
    return left


def retired(events: Sequence[Event]) -> set[str]:
    """Releases whose artifacts were removed."""
    return {event.release for event in events if event.action == "retired"}
