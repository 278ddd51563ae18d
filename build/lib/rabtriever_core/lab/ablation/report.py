"""What a plan leaves beside its runs: the plan, summary, table and plot."""

from pathlib import Path
from typing import Any

from rabtriever_core.errors import ArtifactError
from rabtriever_core.lab.ablation.plan import Plan
from rabtriever_core.lab.ablation.plots import draw
from rabtriever_core.lab.ablation.summary import read_runs, summarize
from rabtriever_core.lab.ablation.tables import plan_markdown
from rabtriever_core.report.plot_style import save_png
from rabtriever_core.workspace.atomic import write_json, write_text

PLAN, SUMMARY, TABLE, PLOT = "plan.json", "summary.json", "table.md", "plot.png"


def write_plan(plan: Plan, folder: Path) -> None:
    """Keep the plan beside its runs, so that the folder alone is enough."""
    write_text(folder / PLAN, plan.model_dump_json(indent=1) + "\n")


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
    write_json(folder / SUMMARY, summary, indent=1)
    write_text(folder / TABLE, plan_markdown(plan, summary))
    save_png(draw(plan, summary), folder / PLOT)
    return summary
