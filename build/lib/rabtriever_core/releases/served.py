"""Which release is served: Qdrant's alias decides, and the log remembers where Qdrant is not asked.

The alias leads to a collection, and the collection's metadata name the release. The log says the
same, save where a promotion was killed before it was logged, or Qdrant lost what it held.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rabtriever_core.errors import IndexMismatchError, ReleaseError
from rabtriever_core.index.aliases import alias_target, physical_collection
from rabtriever_core.index.collection import RELEASE
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.log import last_served, read_log
from rabtriever_core.releases.record import Release, read_release
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@dataclass(frozen=True)
class Served:
    """What an alias leads to."""

    collection: str
    release: str | None
    """None for a collection that was never released."""


def what_is_served(client: "QdrantClient", alias: str) -> Served | None:
    """Collection and release behind an alias; None when there is no such alias.

    Raises:
        IndexMismatchError: it is no collection of this project.
    """
    name = alias_target(client, alias)
    if name is None:
        return None
    return Served(name, physical_collection(client, name).metadata.get(RELEASE))


def served_release(client: "QdrantClient", workspace: Workspace) -> Release:
    """The release that is served now; cheap enough to ask again and again.

    Raises:
        IndexMismatchError: nothing is served, or nothing that was released.
        ReleaseError: there is no record of it here.
    """
    alias = workspace.alias
    served = what_is_served(client, alias)
    if served is None:
        raise IndexMismatchError(
            f"Qdrant serves nothing under {alias!r}: `rabtriever run all` builds and releases, "
            "`rabtriever releases restore` brings back what was released last"
        )
    if served.release is None:
        raise IndexMismatchError(
            f"{alias!r} serves {served.collection}, which is no release: `rabtriever releases "
            "promote` releases what was built here"
        )
    release = read_release(workspace, served.release)
    if release is None:
        raise ReleaseError(
            f"{alias!r} serves release {served.release}, of which there is no record in "
            f"{workspace.root}: it was made elsewhere; `git pull` and `dvc pull` bring it here"
        )
    if release.collection != served.collection:
        raise IndexMismatchError(
            f"collection {served.collection} says it is release {release.id}, whose collection is "
            f"{release.collection}: something else changed it; `rabtriever releases restore "
            f"{release.id}` serves the release again"
        )
    return release


def served_now(workspace: Workspace) -> Release:
    """The same, for whoever has not opened Qdrant; it is closed again.

    Raises:
        IndexMismatchError: nothing is served, or nothing that was released.
        IndexUnavailableError: Qdrant cannot be opened.
        ReleaseError: there is no record of it here.
    """
    with connect(workspace.settings.index, workspace.qdrant) as client:
        return served_release(client, workspace)


def logged_release(workspace: Workspace) -> Release | None:
    """The release served last by the log, without Qdrant; None without one, or its record.

    Raises:
        ReleaseError: the record or the log is damaged.
    """
    id_ = last_served(read_log(workspace))
    return read_release(workspace, id_) if id_ else None
