"""The folder a team works in: settings, data, artifacts and reports of one data set."""

from rabtriever_core.workspace.folder import PARAMS, VARIABLE, Workspace, workspace_root

__all__ = ["PARAMS", "VARIABLE", "Workspace", "workspace_root"]
