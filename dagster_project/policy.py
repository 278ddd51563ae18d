"""What holds for every asset alike: retries, owners, pools, and the decorator that applies it."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from dagster_project.defs.resources import workspace_root
from rabtriever_core.artifacts import code_hash
from rabtriever_core.stages.registry import stage_named
from rabtriever_core.workspace import Workspace

AUTOMATION = Workspace.open(workspace_root()).settings.automation
OWNERS = ["team:rabtriever"]

# Pools have a limit of one step at a time (dagster.yaml). An op belongs to one pool only, and two
# processes in the local index is an error where two on an accelerator are merely slow.
ACCELERATOR = "accelerator"
QDRANT_LOCAL = "qdrant_local"

RETRIES = dg.RetryPolicy(
    max_retries=AUTOMATION.max_retries,
    delay=10,
    backoff=dg.Backoff.EXPONENTIAL,
    jitter=dg.Jitter.PLUS_MINUS,
)


def stage_asset(
    name: str, *, group: str, kinds: set[str], pool: str | None = None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dagster.asset` for a stage: inputs, summary and code version come from its table."""
    stage = stage_named(name)
    return dg.asset(
        name=name,
        deps=list(stage.inputs) or ["dataset"],
        description=stage.summary,
        group_name=group,
        kinds=kinds,
        pool=pool,
        owners=OWNERS,
        tags={"dvc_stage": name},
        code_version=code_hash(*stage.code),
        retry_policy=RETRIES,
    )
