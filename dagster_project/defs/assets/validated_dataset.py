"""Asset: the data set without its broken rows, and what was found in it."""

import dagster as dg

from dagster_project.defs.presentation import (
    Metadata,
    StageRun,
    figures,
    file_link,
    picture,
    table,
)
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import stage_asset
from rabtriever_core.data.change_verdict import read_verdict
from rabtriever_core.workspace import Workspace


@stage_asset("validated_dataset", group="data", kinds={"greatexpectations", "pandas"})
def validated_dataset(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Validate; whether anything may run on the outcome is for the checks to say."""
    recorded = workspace.run("validated_dataset", force=config.force)
    metrics = recorded.artifact.meta.metrics
    quarantined = metrics["quarantined"]
    opened = workspace.open()
    return result(
        recorded,
        {
            "quarantined rows": dg.MetadataValue.float(float(sum(quarantined.values()))),
            "rows by file": table(
                ("file", "rows", "quarantined"),
                [(file, rows, quarantined.get(file, 0)) for file, rows in metrics["rows"].items()],
            ),
            "reasons": table(("rule", "rows"), list(metrics["reasons"].items())),
            "warnings": table(("warning",), [(text,) for text in metrics["warnings"]]),
            "data docs": dg.MetadataValue.path(opened.data_docs / "index.html"),
            **_changes(opened),
            "data docs link": file_link(opened.data_docs / "index.html"),
        },
    )


def _changes(workspace: Workspace) -> Metadata:
    """What differs from the version before: figures that chart, findings, plot."""
    verdict = read_verdict(workspace)
    if verdict is None or verdict.changes is None or verdict.previous is None:
        return {}
    changes = {name: value for name, value in verdict.changes.items() if name != "leaked"}
    scores = {"scores": verdict.scores} if verdict.scores else {}
    shown: Metadata = {
        f"change: {name}": dg.MetadataValue.float(value)
        for name, value in figures(changes | scores)
    }
    before = verdict.previous.release or f"validated before ({verdict.previous.hash})"
    shown["change: compared with"] = dg.MetadataValue.text(before)
    shown["change: findings"] = table(
        ("finding", "effect"),
        [(line, "stops") for line in verdict.broken]
        + [(line, "warning") for line in verdict.warnings],
    )
    plot = workspace.data_changes / "changes.png"
    if plot.is_file():
        shown["change: plot"] = picture(plot.read_bytes(), "changes against the version before")
    docs = workspace.data_changes / "data_docs" / "index.html"
    shown["change: data docs"] = dg.MetadataValue.path(docs)
    return shown
