"""The workspaces of this deployment: one, or several as partitions of the same assets."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from rabtriever_core.config import AutomationConfig
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace import PARAMS, Workspace, workspace_root

logger = logging.getLogger(__name__)

SEVERAL = "RABTRIEVER_WORKSPACES"

SINGLE = ""
"""Name of the workspace where there is only one: assets then have no partitions."""

# Part of the names of schedules and sensors, for which Dagster allows these alone.
_NAME = re.compile(r"[A-Za-z0-9_]+")


def workspace_roots() -> dict[str, Path]:
    """Name → folder of every workspace, from RABTRIEVER_WORKSPACES; one without it.

    The variable is either a folder, every subfolder of which with a params.yaml is a workspace of
    that name, or a list `name=folder,name=folder`.

    Raises:
        ConfigError: there is none in it, or a name cannot be used.
    """
    given = os.environ.get(SEVERAL, "").strip()
    if not given:
        return {SINGLE: workspace_root()}
    if "=" in given:
        pairs = [entry.partition("=") for entry in re.split(r"[,\n]", given) if entry.strip()]
        named = [(name.strip(), Path(folder.strip())) for name, _, folder in pairs]
    else:
        named = [
            (path.parent.name, path.parent) for path in sorted(Path(given).glob(f"*/{PARAMS}"))
        ]
    if not named:
        raise ConfigError(
            f"{SEVERAL} = {given!r}: expected name=folder,name=folder, or a folder of workspaces "
            f"(`rabtriever init {given}/NAME` makes one)"
        )
    found: dict[str, Path] = {}
    for name, folder in named:
        if not _NAME.fullmatch(name) or name in found or folder == Path():
            raise ConfigError(
                f"{SEVERAL}: {name!r} = {str(folder)!r}: every workspace needs a folder and a name "
                "of its own, of letters, digits and underscores"
            )
        found[name] = folder.resolve()
    return found


def root_config(roots: Mapping[str, Path]) -> dict[str, Any]:
    """Config of `WorkspaceResource` that says where the workspaces are."""
    if SINGLE in roots:
        return {"root": str(roots[SINGLE])}
    return {"roots": {name: str(root) for name, root in roots.items()}}


def automation_of(roots: Mapping[str, Path]) -> dict[str, AutomationConfig]:
    """Name → what the workspace's settings switch on.

    Of several workspaces, one with broken settings has its automation off, and its own runs say
    why: it must not stop the others.

    Raises:
        ConfigError: the only workspace's settings are broken.
    """
    found = {}
    for name, root in roots.items():
        try:
            found[name] = Workspace.open(root).settings.automation
        except ConfigError as error:
            if name == SINGLE:
                raise
            logger.error("workspace %s runs nothing by itself: %s", name, error)
            found[name] = AutomationConfig()
    return found


def partitions_of(roots: Mapping[str, Path]) -> dg.StaticPartitionsDefinition | None:
    """One partition per workspace; None where there is only one."""
    return None if SINGLE in roots else dg.StaticPartitionsDefinition(list(roots))


def own_name(name: str, workspace: str) -> str:
    """The name of a schedule or sensor: the workspace's follows where there are several."""
    return name if workspace == SINGLE else f"{name}_{workspace}"
