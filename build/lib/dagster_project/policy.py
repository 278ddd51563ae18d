"""What holds for every asset alike: retries, owners, pools, partitions, freshness."""

import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dagster as dg

from dagster_project.workspaces import automation_of, partitions_of, workspace_roots
from rabtriever_core.stages.registry import stage_named

# 2026-11: partitions of asset checks are in preview in Dagster 1.13; without them one workspace's
# checks would be shown as another's.
warnings.filterwarnings(
    "ignore", message="Specifying a partitions_def on an AssetCheckSpec", category=dg.PreviewWarning
)

ROOTS = workspace_roots()
AUTOMATION = automation_of(ROOTS)
PARTITIONS = partitions_of(ROOTS)
OWNERS = ["team:rabtriever"]

# Pools have a limit of one step at a time (dagster.yaml). An op belongs to one pool only, and two
# processes in the local index is an error where two on an accelerator are merely slow.
ACCELERATOR = "accelerator"
QDRANT_LOCAL = "qdrant_local"

# Partitions of an asset share one policy: with several workspaces, that of the most retries. What
# would end the same way again is never retried (failures.py).
RETRIES = dg.RetryPolicy(
    max_retries=max(automation.max_retries for automation in AUTOMATION.values()),
    delay=10,
    backoff=dg.Backoff.EXPONENTIAL,
    jitter=dg.Jitter.PLUS_MINUS,
)


def _freshness() -> dg.FreshnessPolicy | None:
    """Of collection and release; Dagster looks at the newest partition, so the strictest holds."""
    hours = [found.freshness_hours for found in AUTOMATION.values() if found.freshness_hours]
    if not hours:
        return None
    window = timedelta(hours=min(hours))
    return dg.FreshnessPolicy.time_window(fail_window=window, warn_window=window * 0.75)


FRESHNESS = _freshness()


def stage_asset(
    name: str,
    *,
    group: str,
    kinds: set[str],
    pool: str | None = None,
    freshness: dg.FreshnessPolicy | None = None,
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
        code_version=str(stage.version),
        retry_policy=RETRIES,
        partitions_def=PARTITIONS,
        freshness_policy=freshness,
    )
