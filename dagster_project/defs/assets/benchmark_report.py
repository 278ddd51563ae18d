"""Asset: all systems on the same queries, with significance, latency and plots."""

import json
from pathlib import Path

import dagster as dg

from dagster_project.defs.presentation import Metadata, StageRun, figures, file_link, picture
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import QDRANT_LOCAL, stage_asset


@stage_asset(
    "benchmark_report", group="evaluation", kinds={"python", "matplotlib"}, pool=QDRANT_LOCAL
)
def benchmark_report(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Benchmark and write the report."""
    from rabtriever_core.report.wording import summary_table

    recorded = workspace.run("benchmark_report", force=config.force)
    folder = recorded.artifact.folder
    benchmark = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    scores = {
        split: {name: system["metrics"] for name, system in content["systems"].items()}
        for split, content in benchmark["splits"].items()
    }
    page = folder / "benchmark.html"
    return result(
        recorded,
        {name: dg.MetadataValue.float(value) for name, value in figures(scores)}
        | {
            "summary": dg.MetadataValue.md(f"```\n{summary_table(benchmark)}```"),
            "report": dg.MetadataValue.path(page),
            "report link": file_link(page),
        }
        | _plots(folder / "plots"),
    )


def _plots(folder: Path) -> Metadata:
    """The two that say most; the report has the others."""
    shown = [folder / f"{name}.png" for name in ("quality", "latency_quality")]
    return {
        f"plot {path.stem.replace('_', ' ')}": picture(path.read_bytes(), path.stem)
        for path in shown
        if path.is_file()
    }
