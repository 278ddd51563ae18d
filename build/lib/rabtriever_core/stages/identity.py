"""What a stage's artifact follows from in a workspace as it is now."""

import importlib
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from rabtriever_core.config import Settings, shaping_values
from rabtriever_core.config.params_file import default_settings
from rabtriever_core.stages.registry import STAGES, Stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact
from rabtriever_core.workspace.identity import Identity, flat


def stage_module(name: str) -> ModuleType:
    """The module that makes a stage's artifact."""
    return importlib.import_module(f"rabtriever_core.stages.{name}")


def stage_identity(workspace: Workspace, stage: Stage, inputs: Mapping[str, Artifact]) -> Identity:
    """What the stage's artifact would be made from now.

    Args:
        workspace: where.
        stage: which.
        inputs: the artifacts it reads.

    Raises:
        DatasetError: the raw data cannot be read.
        ModelError: a model that it reads is not there.
    """
    module = stage_module(stage.name)
    parents = {name: artifact.hash for name, artifact in inputs.items()}
    return Identity(
        stage=stage.name,
        version=stage.version,
        config=stage_config(workspace.settings, stage),
        parents=parents | read_outside(workspace, module),
        dataset=data_fingerprint(workspace, module, inputs),
    )


def stage_config(settings: Settings, stage: Stage) -> dict[str, Any]:
    """Section → values, of the settings that shape a stage's result."""
    return {section: shaping_values(settings, section) for section in stage.sections}


def data_fingerprint(
    workspace: Workspace,
    module: ModuleType,
    inputs: Mapping[str, Artifact],
    metrics: dict[str, Any] | None = None,
) -> str:
    """Fingerprint of the data: of the raw ones where the stage reads those.

    With the metrics of what was made from them, they may have grown since where it allows for that.
    """
    if hasattr(module, "fingerprint"):
        found: str = module.fingerprint(workspace, metrics)
        return found
    return inputs["validated_dataset"].meta.dataset


def read_outside(workspace: Workspace, module: ModuleType) -> dict[str, str]:
    """What a stage reads beside data and artifacts: its setting → hash of its content.

    Raises:
        ModelError: it is not there.
    """
    if not hasattr(module, "read_outside"):
        return {}
    found: dict[str, str] = module.read_outside(workspace)
    return found


@cache
def default_values() -> dict[str, Any]:
    """Dotted name → default, of every setting that shapes a stage."""
    settings = default_settings()
    values: dict[str, Any] = {}
    for stage in STAGES:
        values |= flat(stage_config(settings, stage))
    return values
