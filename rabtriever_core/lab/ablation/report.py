"""What a plan leaves beside its runs: the plan, summary, table and plot."""

import json
from pathlib import Path
from typing import Any

from rabtriever_core.errors import ArtifactError
from rabtriever_core.lab.ablation.plan import Plan
from rabtriever_core.lab.ablation.plots import draw
from rabtriever_core.lab.ablation.summary import read_runs, summarize
from rabtriever_core.lab.ablation.tables import plan_markdown
from rabtriever_core.report.plot_style import save_png

PLAN, SUMMARY, TABLE, PLOT = "plan.json", "summary.json", "table.md", "plot.png"


def write_plan(plan: Plan, folder: Path) -> None:
    """Keep the plan beside its runs, so that the folder alone is enough."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN).write_text(plan.model_dump_json(indent=1) + "\n", encoding="utf-8")


def summary_of(plan: Plan, folder: Path) -> dict[str, Any]:
    """Summarize the runs that are there.

    Raises:
        ArtifactError: there are none, or some are damaged or do not fit together.
    """
    runs = read_runs(plan, folder)
    if not runs:
        raise ArtifactError(f"no finished runs of plan {plan.name} in {folder}")
    return summarize(plan, runs)


def write_summary(plan: Plan, folder: Path) -> dict[str, Any]:
    """The same, and write summary.json, table.md and plot.png."""
    summary = summary_of(plan, folder)
    text = json.dumps(summary, indent=1, ensure_ascii=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")
    (folder / TABLE).write_text(plan_markdown(plan, summary), encoding="utf-8")
    save_png(draw(plan, summary), folder / PLOT)
    return summary
