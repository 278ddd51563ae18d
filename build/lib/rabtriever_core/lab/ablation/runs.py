"""The runs of a plan: one per data set, seed and variant; each leaves one JSON file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rabtriever_core.config import Settings
from rabtriever_core.errors import ConfigError
from rabtriever_core.lab.ablation.plan import Override, Plan
from rabtriever_core.lab.ablation.sources import Source
from rabtriever_core.lab.ablation.tree import address, ancestry
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.provenance import versions

RUNS = "runs"
_SCHEMA = 1
"""Raise it when what is measured changes: every run is then measured anew."""


@dataclass(frozen=True)
class PlannedRun:
    """One variant on one data set with one seed."""

    plan: Plan
    source: Source
    seed: int
    variant: str
    settings: Settings
    data: str
    """Hash of the raw data."""
    path: Path
    """Of its result."""

    @property
    def title(self) -> str:
        """What it is, in few words."""
        return f"{self.source.name}, seed {self.seed}, {self.plan.variants[self.variant].label}"

    @property
    def identity(self) -> str:
        """Hash of all that its result depends on."""
        plan = self.plan
        parts = [
            _SCHEMA,
            {system: address(self.settings, system) for system in plan.systems},
            self.data,
            versions(),
            [plan.split, plan.systems, plan.queries, plan.documents],
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def finished(self) -> bool:
        """Whether the result that is there is the one that this run would give."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        return isinstance(found, dict) and found.get("identity") == self.identity

    def write(self, result: dict[str, Any]) -> None:
        """Leave the result; a killed run leaves none or the old one, never half."""
        content = {
            "schema": _SCHEMA,
            "identity": self.identity,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "plan": self.plan.name,
            "variant": self.variant,
            "seed": self.seed,
            "overrides": list(self.plan.overrides(self.variant)),
            **result,
        }
        write_json(self.path, content, indent=1)


def planned_runs(
    plan: Plan,
    sources: Sequence[Source],
    seeds: Sequence[int],
    overrides: Sequence[Override],
    out: Path,
) -> list[PlannedRun]:
    """All runs of a plan, seed by seed, so that every data set has its first results early.

    Settings come from a data set's params.yaml, then the environment, then `overrides`, then the
    plan's base, then the variant.

    Args:
        plan: what is varied.
        sources: the data sets.
        seeds: of the runs.
        overrides: settings that the command was given.
        out: folder of the plan's results.

    Raises:
        ConfigError: an override is wrong, a seed is given twice, or a variant changes what comes
            before the plan's stage.
        DatasetError: data are missing.
    """
    twice = sorted({seed for seed in seeds if list(seeds).count(seed) > 1})
    if twice:
        raise ConfigError(f"--seeds: {', '.join(map(str, twice))} given more than once")
    data = {source.name: _fingerprint(source) for source in sources}
    runs = []
    for seed in seeds:
        for source in sources:
            for variant in plan.variants:
                given = (*overrides, *plan.overrides(variant))
                try:
                    settings = source.settings(seed, given)
                except ConfigError as error:
                    raise ConfigError(f"plan {plan.name}, variant {variant}: {error}") from None
                path = out / RUNS / f"{source.name}.seed-{seed}.{variant}.json"
                runs.append(
                    PlannedRun(plan, source, seed, variant, settings, data[source.name], path)
                )
            _check_upstream(runs[-len(plan.variants) :])
    return runs


def _check_upstream(variants: Sequence[PlannedRun]) -> None:
    """Variants that differ before the plan's stage would be compared on different ground."""
    first = variants[0]
    for stage in ancestry(first.plan.stage)[:-1]:
        for run in variants:
            if address(run.settings, stage) != address(first.settings, stage):
                raise ConfigError(
                    f"plan {run.plan.name}, variant {run.variant}: it changes {stage}, which comes "
                    f"before the plan's stage {run.plan.stage}; set the plan's `stage` to {stage}"
                )


def _fingerprint(source: Source) -> str:
    from rabtriever_core.stages.validated_dataset import fingerprint
    from rabtriever_core.workspace import Workspace

    settings = source.settings(0, (f"dataset.folder={json.dumps(str(source.folder))}",))
    folder = settings.dataset.model_copy(update={"folder": source.folder})
    settings = settings.model_copy(update={"dataset": folder})
    return fingerprint(Workspace(source.folder, settings))
