"""Asset: all systems on the same queries, with significance, latency and plots."""

import json
from pathlib import Path

import dagster as dg

from dagster_project.defs.presentation import Metadata, StageRun, figures, picture
from dagster_project.defs.resources import Recorded, WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import QDRANT_LOCAL, stage_asset
from rabtriever_core.workspace import Workspace


@stage_asset(
    "benchmark_report", group="evaluation", kinds={"python", "matplotlib"}, pool=QDRANT_LOCAL
)
def benchmark_report(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Benchmark and write the report."""
    recorded = workspace.run("benchmark_report", force=config.force)
    return result(recorded, shown(recorded, workspace.open()))


def shown(recorded: Recorded, _: Workspace) -> Metadata:
    """Scores, the report in short, and where the whole one lies."""
    from rabtriever_core.report.wording import headline, summary_table

    folder = recorded.artifact.folder
    benchmark = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    scores = {
        split: {name: system["metrics"] for name, system in content["systems"].items()}
        for split, content in benchmark["splits"].items()
    }
    return (
        {name: dg.MetadataValue.float(value) for name, value in figures(scores)}
        | {
            "headline": dg.MetadataValue.text(headline(benchmark)),
            "summary": dg.MetadataValue.md(f"```\n{summary_table(benchmark)}```"),
            "report": dg.MetadataValue.path(folder / "benchmark.html"),
        }
        | _plots(folder / "plots")
    )


def _plots(folder: Path) -> Metadata:
    """The two that say most; the report has the others."""
    shown = [folder / f"{name}.png" for name in ("quality", "latency_quality")]
    return {
        f"plot {path.stem.replace('_', ' ')}": picture(path.read_bytes(), path.stem)
        for path in shown
        if path.is_file()
    }
