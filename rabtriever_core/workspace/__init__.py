"""The folder a team works in: settings, data, artifacts and reports of one data set."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rabtriever_core.workspace.folder import PARAMS, VARIABLE, Workspace, workspace_root

__all__ = ["PARAMS", "VARIABLE", "Workspace", "workspace_root"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: a client of the query service needs no settings."""
    if name in __all__:
        from rabtriever_core.workspace import folder

        return getattr(folder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
