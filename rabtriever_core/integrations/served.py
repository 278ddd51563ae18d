"""The served release's models, for libraries that bring a search of their own."""

from pathlib import Path

from rabtriever_core.index.connection import connect
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.serving import OpenRelease, open_release, served_release
from rabtriever_core.workspace import Workspace


def which_release(workspace: Path | str | Workspace) -> tuple[Workspace, Release]:
    """The workspace, and the release it serves now.

    Raises:
        ConfigError: there is no workspace.
        IndexMismatchError: nothing is served, or nothing that was released.
        IndexUnavailableError: Qdrant cannot be opened.
        ReleaseError: there is no record of the release.
    """
    opened = workspace if isinstance(workspace, Workspace) else Workspace.open(Path(workspace))
    with connect(opened.settings.index, opened.qdrant) as client:
        return opened, served_release(client, opened)


def open_served(workspace: Path | str | Workspace) -> OpenRelease:
    """The models of the release that is served now; Qdrant is closed again.

    Raises:
        ConfigError: there is no workspace.
        IndexMismatchError: nothing is served, or nothing that was released.
        IndexUnavailableError: Qdrant cannot be opened.
        ReleaseError: the release is not here, or not complete.
    """
    return open_release(*which_release(workspace))
