"""`rabtriever eval --mteb`: mteb measures the served release's models on a task that lies here."""

from pathlib import Path

import typer

from rabtriever_core.cli.options import print_json
from rabtriever_core.workspace import Workspace

_SHOWN = {
    "nDCG@10": "ndcg_at_10",
    "MRR@10": "mrr_at_10",
    "R@1": "recall_at_1",
    "R@10": "recall_at_10",
}
"""Our metrics as mteb names them."""


def evaluate_by_mteb(
    workspace: Path, task: str, folder: Path, split: str | None, *, two_stage: bool, as_json: bool
) -> None:
    """Measure and print.

    Args:
        workspace: its folder.
        task: of mteb.
        folder: with the task's data.
        split: the task's own where it is not given.
        two_stage: let the teacher put the student's first documents in order.
        as_json: print all that mteb found.
    """
    from rabtriever_core.integrations.mteb_tasks import evaluate_task

    found = evaluate_task(Workspace.open(workspace), task, folder, split, two_stage=two_stage)
    if as_json:
        print_json({"task": task, "folder": str(folder), "two_stage": two_stage, "scores": found})
        return
    typer.echo(f"{task}, measured by mteb: {'two stages' if two_stage else 'student'}")
    for part, scores in found.items():
        shown = ", ".join(f"{label} {scores[name]:.4f}" for label, name in _SHOWN.items())
        typer.echo(f"{part}: {shown}; the task's main score {scores['main_score']:.4f}")
