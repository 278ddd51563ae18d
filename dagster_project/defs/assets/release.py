"""Asset: what is served; a candidate that passes every gate takes the place of the one before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_project.defs.presentation import Metadata, drawing, figures, table
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.defs.story import with_changes
from dagster_project.failures import as_failure
from dagster_project.policy import FRESHNESS, OWNERS, PARTITIONS, QDRANT_LOCAL, RETRIES
from rabtriever_core.releases.gate_names import GATES

if TYPE_CHECKING:
    from rabtriever_core.releases.record import Release
    from rabtriever_core.workspace import Workspace


class ReleaseRun(dg.Config):
    """Options of one promotion."""

    override_by: str = ""
    """Who serves the candidate although a gate does not pass; with override_reason."""
    override_reason: str = ""
    """Why."""


@dg.asset(
    deps=["calibration", "qdrant_collection", "benchmark_report"],
    description="Hold what was built to the gates and serve it; refused, the release before stays.",
    group_name="serving",
    kinds={"qdrant", "dvc"},
    pool=QDRANT_LOCAL,
    owners=OWNERS,
    code_version="1",
    retry_policy=RETRIES,
    partitions_def=PARTITIONS,
    freshness_policy=FRESHNESS,
    check_specs=[
        dg.AssetCheckSpec(name, asset="release", description=description, partitions_def=PARTITIONS)
        for name, description in GATES.items()
    ],
)
def release(
    context: dg.AssetExecutionContext, config: ReleaseRun, workspace: WorkspaceResource
) -> Iterator[Any]:
    """Evaluate the gates, then promote or refuse."""
    from rabtriever_core.integrations.mlflow import keep_mlflow_informed
    from rabtriever_core.releases import promotion

    by, override = f"dagster run {context.run_id[:8]}", None
    if config.override_by or config.override_reason:
        if not (config.override_by and config.override_reason):
            raise dg.Failure(
                "an override needs both override_by and override_reason", allow_retries=False
            )
        by, override = config.override_by, config.override_reason
    opened = workspace.open()
    with as_failure():
        outcome = promotion.promote(opened, by=by, override=override)
    keep_mlflow_informed(opened)
    record = outcome.release
    for gate in record.gates:
        limits = {"figure": gate.figure, "limit": gate.limit}
        yield dg.AssetCheckResult(
            check_name=gate.name,
            passed=gate.passed,
            description=gate.text,
            metadata={name: value for name, value in limits.items() if value is not None},
        )
    if outcome.decision == "refused":
        raise dg.Failure(
            f"release {record.id} is refused, what was served stays: {outcome.reason}",
            metadata={"release": record.id, "parent": record.parent or "none"},
            allow_retries=False,
        )
    context.log.info("%s: release %s (%s)", outcome.decision, record.id, record.collection)
    yield dg.MaterializeResult(
        metadata=with_changes(shown(opened, record, outcome.decision)),
        data_version=dg.DataVersion(record.id),
    )


def shown(workspace: "Workspace", record: "Release", decision: str) -> Metadata:
    """What the release is, what it came from down to the raw rows, and how it got here."""
    from rabtriever_core.releases.history import decisions, quality_figure
    from rabtriever_core.releases.lineage import lineage

    made = decisions(workspace)
    story: Metadata = {
        "release": dg.MetadataValue.text(record.id),
        "decision": dg.MetadataValue.text(decision),
        "parent": dg.MetadataValue.text(record.parent or "none"),
        "collection": dg.MetadataValue.text(record.collection),
        "documents": dg.MetadataValue.int(record.count),
        "data": dg.MetadataValue.text(f"{record.dataset} {record.fingerprint}"),
        "commit": dg.MetadataValue.text(record.commit or "none"),
        "lineage": table(
            ("part", "hash", "made from", "rows"),
            [
                (link.part, link.hash, ", ".join(link.parents) or "raw rows (data.dvc)", link.rows)
                for link in lineage(workspace, record)
            ],
        ),
        "gates": table(
            ("gate", "passed", "finding"),
            [(gate.name, gate.passed, gate.text) for gate in record.gates],
        ),
        "changes": _changes(workspace, record),
        "report": dg.MetadataValue.path(workspace.reports / "benchmark.html"),
        "validation page": dg.MetadataValue.path(workspace.validation_page),
    }
    if made:
        story["quality over time"] = drawing(quality_figure(made), "MRR@10 of the releases")
    # Last: there are dozens, and the UI keeps the order.
    return story | {name: dg.MetadataValue.float(value) for name, value in figures(record.metrics)}


def _changes(workspace: "Workspace", record: "Release") -> "dg.MetadataValue[Any]":
    """What differs from the release before, as a table."""
    from rabtriever_core.releases.difference import difference
    from rabtriever_core.releases.record import read_releases

    before = read_releases(workspace).get(record.parent or "")
    if before is None:
        return dg.MetadataValue.md("The first release here.")
    found = difference(before, record)
    rows = [
        (f"{section} {name}", *pair)
        for section in ("data", "parts", "settings", "metrics")
        for name, pair in found[section].items()
    ]
    return table(("what", before.id, record.id), rows)
