"""Asset: the data set without its broken rows, and what was found in it."""

import itertools
import json

import dagster as dg

from dagster_project.defs.presentation import (
    Metadata,
    StageRun,
    figures,
    picture,
    table,
)
from dagster_project.defs.resources import Recorded, WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import stage_asset
from rabtriever_core.data.change_verdict import read_verdict
from rabtriever_core.data.findings import QUARANTINE
from rabtriever_core.workspace import Workspace

_SHOWN_ROWS = 20
"""Of those that were quarantined; the page has more."""


@stage_asset("validated_dataset", group="data", kinds={"greatexpectations", "pandas"})
def validated_dataset(
    config: StageRun, workspace: WorkspaceResource
) -> "dg.MaterializeResult[None]":
    """Validate; whether anything may run on the outcome is for the checks to say."""
    recorded = workspace.run("validated_dataset", force=config.force)
    return result(recorded, shown(recorded, workspace.open()))


def shown(recorded: Recorded, workspace: Workspace) -> Metadata:
    """What was found: the rows that left, the rules, the changes against the version before."""
    folder, metrics = recorded.artifact.folder, recorded.artifact.meta.metrics
    quarantined = metrics["quarantined"]
    rules = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    columns = ("name", "passed", "checked", "broken", "sentence")
    with (folder / QUARANTINE).open(encoding="utf-8") as file:
        left = [json.loads(line) for line in itertools.islice(file, _SHOWN_ROWS)]
    return {
        "quarantined rows": dg.MetadataValue.float(float(sum(quarantined.values()))),
        "rows by file": table(
            ("file", "rows", "quarantined"),
            [(file, rows, quarantined.get(file, 0)) for file, rows in metrics["rows"].items()],
        ),
        "reasons": table(("rule", "rows"), list(metrics["reasons"].items())),
        "first quarantined rows": table(
            ("row", "reasons"),
            [(f"{row['file']}:{row['line']}", "; ".join(row["reasons"])) for row in left],
        ),
        "rules": table(columns, [[rule[column] for column in columns] for rule in rules]),
        "warnings": table(("warning",), [(text,) for text in metrics["warnings"]]),
        "validation page": dg.MetadataValue.path(workspace.validation_page),
        **_changes(workspace),
    }


def _changes(workspace: Workspace) -> Metadata:
    """What differs from the version before: figures that chart, findings, plot."""
    verdict = read_verdict(workspace)
    if verdict is None or verdict.changes is None or verdict.previous is None:
        return {}
    changes = {name: value for name, value in verdict.changes.items() if name != "leaked"}
    scores = {"scores": verdict.scores} if verdict.scores else {}
    metadata: Metadata = {
        f"change: {name}": dg.MetadataValue.float(value)
        for name, value in figures(changes | scores)
    }
    before = verdict.previous.release or f"validated before ({verdict.previous.hash})"
    metadata["change: compared with"] = dg.MetadataValue.text(before)
    metadata["change: findings"] = table(
        ("finding", "effect"),
        [(line, "stops") for line in verdict.broken]
        + [(line, "warning") for line in verdict.warnings],
    )
    plot = workspace.data_changes / "changes.png"
    if plot.is_file():
        metadata["change: plot"] = picture(plot.read_bytes(), "changes against the version before")
    metadata["change: page"] = dg.MetadataValue.path(workspace.data_changes / "changes.html")
    return metadata
