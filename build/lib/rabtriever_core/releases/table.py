"""All releases as rows: which is served, what became of the others."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rabtriever_core.index.connection import connect
from rabtriever_core.releases.log import SERVING, Event, read_log
from rabtriever_core.releases.record import Release, read_releases
from rabtriever_core.releases.served import what_is_served
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    """One release in the table."""

    release: Release
    served: bool
    state: str
    """served, was served, refused, candidate, or retired."""
    events: "Sequence[Event]"


def rows(workspace: Workspace) -> list[Row]:
    """Every release, oldest first.

    Raises:
        IndexUnavailableError: Qdrant cannot be opened, so nobody knows what is served.
        ReleaseError: a record or the log is damaged.
    """
    return rows_where(workspace, _served(workspace))


def rows_where(workspace: Workspace, served: str | None) -> list[Row]:
    """Every release, oldest first, for whoever knows which is served.

    Raises:
        ReleaseError: a record or the log is damaged.
    """
    events = read_log(workspace)
    found = []
    for id_, release in read_releases(workspace).items():
        own = [event for event in events if event.release == id_]
        found.append(Row(release, id_ == served, _state(id_ == served, own), own))
    return found


def _served(workspace: Workspace) -> str | None:
    """The release behind the alias; asking creates nothing."""
    index = workspace.settings.index
    if not index.url and not workspace.qdrant.is_dir():
        return None
    with connect(index, workspace.qdrant) as client:
        served = what_is_served(client, workspace.alias)
    return served.release if served else None


def _state(served: bool, events: "Sequence[Event]") -> str:
    actions = [event.action for event in events]
    if served:
        return "served"
    if "retired" in actions:
        return "retired"
    if any(action in SERVING for action in actions):
        return "was served"
    return "refused" if "refused" in actions else "candidate"
