"""Carry out a plan: train what is missing, measure, leave one JSON per run."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.config.params_file import changed_settings
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.lab.ablation.measure import Task, measured
from rabtriever_core.lab.ablation.runs import PlannedRun
from rabtriever_core.lab.ablation.sources import Source
from rabtriever_core.lab.ablation.tree import ArtifactTree, ancestry
from rabtriever_core.lab.processes import quietly, side_by_side
from rabtriever_core.stages.registry import stage_named
from rabtriever_core.workspace import provenance
from rabtriever_core.workspace.artifacts import Artifact

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

_TRAINED = ("bi_encoder", "teacher", "student")
LOGS = "logs"
_NAMED = 3
"""Runs to come that are named in the progress line."""


def carry_out(
    runs: Sequence[PlannedRun], work: Path, command: str, *, jobs: int = 1
) -> dict[str, str]:
    """Do the runs that are not finished; one that fails does not stop the others.

    Args:
        runs: of a plan.
        work: where artifacts are kept.
        command: for the record.
        jobs: how many go on at a time, each in a process of its own, whose progress goes to a log
            in `work`; what two have in common is built by one, and the other waits for it.

    Returns:
        Title of every run that failed → why.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    pending = [run for run in runs if not run.finished()]
    if len(pending) < len(runs):
        logger.info("%d of %d runs are finished already", len(runs) - len(pending), len(runs))
    facts = {"command": command, "commit": provenance.commit(), "versions": provenance.versions()}
    failed: dict[str, str] = {}
    with (
        tqdm(total=len(pending), unit="run", disable=not pending) as bar,
        logging_redirect_tqdm(),
    ):
        for run, found in _results(pending, work, jobs, bar):
            if isinstance(found, str):
                failed[run.title] = found
                logger.error("%s failed: %s", run.title, found)
            else:
                run.write(found | facts | {"machine": provenance.machine()})
                logger.info("%s: %s", run.title, _headline(found, run.plan.metric))
            bar.update()
    return failed


def _results(
    runs: Sequence[PlannedRun], work: Path, jobs: int, bar: "tqdm[Any]"
) -> Iterator[tuple[PlannedRun, dict[str, Any] | str]]:
    """Every run with its result, or why it failed, as they end."""
    if jobs > 1 and len(runs) > 1:
        for number, found in side_by_side([_Apart(run, work) for run in runs], jobs):
            yield runs[number], found
        return
    shared = _Shared(work)
    for number, run in enumerate(runs):
        bar.set_description(run.title)
        yield run, _attempt(run, shared)
        if rest := runs[number + 1 :]:
            names = "; ".join(each.title for each in rest[:_NAMED])
            more = f" and {len(rest) - _NAMED} more" if len(rest) > _NAMED else ""
            logger.info("to come: %s%s", names, more)


@dataclass
class _Shared:
    """What the runs of one process have in common."""

    work: Path
    trees: dict[str, ArtifactTree] = field(default_factory=dict)
    tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    unfit: dict[tuple[str, int], str] = field(default_factory=dict)
    """Data set and seed → why the common part of its variants failed."""

    def tree(self, source: Source) -> ArtifactTree:
        return self.trees.setdefault(source.name, ArtifactTree(self.work / source.name, source))


@dataclass(frozen=True)
class _Apart:
    """A run in a process of its own."""

    run: PlannedRun
    work: Path

    def __call__(self) -> dict[str, Any] | str:
        run = self.run
        name = f"{run.plan.name}.seed-{run.seed}.{run.variant}.log"
        log = self.work / run.source.name / LOGS / name
        return quietly(lambda: _attempt(run, _Shared(self.work)), log)


def _attempt(run: PlannedRun, shared: _Shared) -> dict[str, Any] | str:
    """The result, or why there is none."""
    try:
        return _carry_out_one(run, shared)
    except Exception as error:
        logger.debug("trace", exc_info=error)
        return " ".join(f"{type(error).__name__}: {error}".split())


def _carry_out_one(run: PlannedRun, shared: _Shared) -> dict[str, Any]:
    """Build and measure."""
    tree, tasks, unfit = shared.tree(run.source), shared.tasks, shared.unfit
    common = (run.source.name, run.seed)
    if common in unfit:
        raise RuntimeError(f"what its variants have in common failed: {unfit[common]}")
    try:
        for stage in stage_named(run.plan.stage).inputs:
            tree.build(run.settings, stage)
    except Exception as error:
        unfit[common] = str(error)
        raise
    started = time.perf_counter()
    artifacts: dict[str, Artifact] = {}
    for system in run.plan.systems:
        artifacts |= tree.build(run.settings, system)
    data = artifacts["validated_dataset"]
    key = (run.source.name, data.hash)
    if key not in tasks:
        dataset = read_dataset(data.folder, run.settings.dataset.name)
        tasks[key] = Task.of(dataset, run.plan)
    task = tasks[key]
    systems = {
        system: measured(
            system,
            artifacts,
            task,
            run.settings.runtime,
            tree.workspace(run.settings, system).measurements,
        )
        for system in run.plan.systems
    }
    seconds = {
        stage: found[stage]
        for stage in ancestry_of(run.plan.systems)
        if stage in (found := tree.workspace(run.settings, stage).seconds())
    }
    trained = {name: artifacts[name].meta.metrics for name in _TRAINED if name in artifacts}
    return {
        "dataset": {
            "name": task.dataset.name,
            "fingerprint": task.dataset.fingerprint,
            "documents": len(task.documents),
            "queries": len(task.queries),
        },
        "split": task.split,
        "task": task.digest,
        "systems": systems,
        "dev_sample": {
            name: {key: round(value, 6) for key, value in metrics["dev"].items()}
            for name, metrics in trained.items()
        },
        "budget": {name: metrics["budget"] for name, metrics in trained.items()},
        "seconds": seconds | {"this run": round(time.perf_counter() - started, 1)},
        "settings": changed_settings(run.settings),
        "artifacts": {name: artifact.hash for name, artifact in artifacts.items()},
    }


def ancestry_of(systems: Sequence[str]) -> list[str]:
    """All stages that systems are made from, in the order they run."""
    order: list[str] = []
    for system in systems:
        order += [name for name in ancestry(system) if name not in order]
    return order


def _headline(result: dict[str, Any], metric: str) -> str:
    values = (
        f"{system} {100 * found['metrics'][metric]:.1f}"
        for system, found in result["systems"].items()
    )
    return f"{metric} {', '.join(values)} ({result['seconds']['this run']:.0f} s)"
