"""The served release's models, for libraries that bring a search of their own."""

from pathlib import Path

from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import OpenRelease, open_release
from rabtriever_core.workspace import Workspace, workspace_root


def as_workspace(workspace: Workspace | Path | str | None) -> Workspace:
    """The workspace given; RABTRIEVER_WORKSPACE or the current folder where none is.

    Raises:
        ConfigError: there is none.
    """
    if isinstance(workspace, Workspace):
        return workspace
    return Workspace.open(workspace_root(workspace))


def open_served(workspace: Workspace | Path | str | None) -> OpenRelease:
    """The models of the release that is served now.

    Raises:
        ConfigError: there is no workspace.
        IndexMismatchError: nothing is served, or nothing that was released.
        IndexUnavailableError: Qdrant cannot be opened.
        ReleaseError: the release is not here, or not complete.
    """
    opened = as_workspace(workspace)
    return open_release(opened, served_now(opened))
