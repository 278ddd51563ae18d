"""Asset: the data set without its broken rows, and what was found in it."""

import dagster as dg

from dagster_project.defs.presentation import StageRun, file_link, table
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import result
from dagster_project.policy import stage_asset


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
            "data docs link": file_link(opened.data_docs / "index.html"),
        },
    )
