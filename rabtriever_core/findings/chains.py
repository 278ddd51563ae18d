"""The whole chain over data sets and seeds, each result stored as soon as it is there."""

import logging
from collections.abc import Sequence
from pathlib import Path

from rabtriever_core.ablation.plan import Override
from rabtriever_core.ablation.sources import Source
from rabtriever_core.ablation.tree import link_data
from rabtriever_core.errors import RabtrieverError
from rabtriever_core.findings.add import add_workspace
from rabtriever_core.findings.stored import BENCHMARK
from rabtriever_core.params_file import params_yaml
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import PARAMS, Workspace

logger = logging.getLogger(__name__)


def run_chains(
    sources: Sequence[Source],
    seeds: Sequence[int],
    overrides: Sequence[Override],
    work: Path,
    out: Path,
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

    Returns:
        Title of every run that failed → why.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    runs = [(source, seed) for seed in seeds for source in sources]
    failed: dict[str, str] = {}
    with tqdm(total=len(runs), unit="run") as bar, logging_redirect_tqdm():
        for source, seed in runs:
            title = f"{source.name}, seed {seed}"
            bar.set_description(title)
            try:
                workspace = _workspace(source, seed, overrides, work)
                for stage in STAGES:
                    run_stage(workspace, stage.name)
                folder = add_workspace(workspace.root, out)
            except (RabtrieverError, OSError) as error:
                failed[title] = " ".join(f"{type(error).__name__}: {error}".split())
                logger.error("%s failed: %s", title, failed[title])
            else:
                logger.info("%s: stored in %s", title, folder / BENCHMARK)
            bar.update()
    return failed


def _workspace(source: Source, seed: int, overrides: Sequence[Override], work: Path) -> Workspace:
    """Settings and data in place."""
    root = (work / source.name / f"seed-{seed}").resolve()
    root.mkdir(parents=True, exist_ok=True)
    settings = source.settings(seed, overrides)
    (root / PARAMS).write_text(params_yaml(settings), encoding="utf-8")
    workspace = Workspace.open(root)
    link_data(workspace, source)
    return workspace
