"""The whole chain over data sets and seeds, each result stored as soon as it is there."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.config.params_file import params_yaml
from rabtriever_core.errors import RabtrieverError
from rabtriever_core.lab.ablation.plan import Override
from rabtriever_core.lab.ablation.sources import Source
from rabtriever_core.lab.ablation.tree import link_data
from rabtriever_core.lab.processes import quietly, side_by_side
from rabtriever_core.lab.results.add import add_workspace
from rabtriever_core.lab.results.stored import BENCHMARK
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import PARAMS, Workspace
from rabtriever_core.workspace.atomic import write_text

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

LOG = "run.log"


def run_chains(
    sources: Sequence[Source],
    seeds: Sequence[int],
    overrides: Sequence[Override],
    work: Path,
    out: Path,
    *,
    label: str = "",
    jobs: int = 1,
) -> dict[str, str]:
    """Run every stage on every data set with every seed; one that fails does not stop the others.

    All data sets have their first seed before any has its second. What is up to date is kept, and
    killed training resumes. Nothing is released.

    Args:
        sources: data sets and the settings to start from.
        seeds: of the runs.
        overrides: settings of all runs.
        work: a workspace for every run goes here.
        out: of all stored results.
        label: results are stored under the data set's name and this, which tells a benchmark with
            other settings from the first.
        jobs: how many runs go on at a time, each in a process of its own, whose progress goes to
            `run.log` in its workspace; they share the cores, unless `runtime.threads` is set.

    Returns:
        Title of every run that failed → why.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    runs = [
        _Run(source, seed, tuple(overrides), work, label) for seed in seeds for source in sources
    ]
    failed: dict[str, str] = {}
    with tqdm(total=len(runs), unit="run") as bar, logging_redirect_tqdm():
        for run, problem in _carried_out(runs, jobs, bar):
            if not problem:
                problem = _stored(run, out)
            if problem:
                failed[run.title] = problem
                logger.error("%s failed: %s", run.title, problem)
            bar.update()
    return failed


@dataclass(frozen=True)
class _Run:
    """One data set with one seed."""

    source: Source
    seed: int
    overrides: tuple[Override, ...]
    work: Path
    label: str

    @property
    def title(self) -> str:
        return f"{self.source.name}, seed {self.seed}"

    @property
    def name(self) -> str:
        """Under which the results are stored."""
        return f"{self.source.name}-{self.label}" if self.label else self.source.name

    @property
    def root(self) -> Path:
        """Of the workspace."""
        return (self.work / self.source.name / f"seed-{self.seed}").resolve()

    def carry_out(self) -> str:
        """Run all stages; returns why it failed, or nothing."""
        try:
            workspace = _workspace(self)
            for stage in STAGES:
                run_stage(workspace, stage.name)
        except (RabtrieverError, OSError) as error:
            return _in_a_line(error)
        return ""

    def carry_out_quietly(self) -> str:
        """The same, with progress bars and warnings in a file of the workspace."""
        return quietly(self.carry_out, self.root / LOG)


def _carried_out(runs: Sequence[_Run], jobs: int, bar: "tqdm[Any]") -> Iterator[tuple[_Run, str]]:
    """Every run with why it failed (or nothing), as they end."""
    if jobs == 1:
        for run in runs:
            bar.set_description(run.title)
            yield run, run.carry_out()
        return
    for number, problem in side_by_side([run.carry_out_quietly for run in runs], jobs):
        yield runs[number], problem


def _stored(run: _Run, out: Path) -> str:
    """Store what a run found; returns why that failed, or nothing."""
    try:
        folder = add_workspace(run.root, out, run.name)
    except (RabtrieverError, OSError) as error:
        return _in_a_line(error)
    logger.info("%s: stored in %s", run.title, folder / BENCHMARK)
    return ""


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _workspace(run: _Run) -> Workspace:
    """Settings and data in place."""
    run.root.mkdir(parents=True, exist_ok=True)
    settings = run.source.settings(run.seed, run.overrides)
    write_text(run.root / PARAMS, params_yaml(settings))
    workspace = Workspace.open(run.root)
    link_data(workspace, run.source)
    return workspace
