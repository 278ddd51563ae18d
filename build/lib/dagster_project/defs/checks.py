"""What must hold of the artifacts; every check can be run again from the UI, at any time."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_project.defs.presentation import table
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.failures import as_failure
from dagster_project.policy import PARTITIONS, QDRANT_LOCAL, RETRIES
from rabtriever_core.data.change_verdict import read_verdict
from rabtriever_core.workspace.artifacts import Artifact, load_artifact

logger = logging.getLogger(__name__)


def _artifact(workspace: WorkspaceResource, stage: str) -> Artifact:
    with as_failure():
        return load_artifact(workspace.open().artifact(stage))


@dg.multi_asset_check(
    name="data_checks",
    specs=[
        dg.AssetCheckSpec(
            "fit_for_use",
            asset="validated_dataset",
            partitions_def=PARTITIONS,
            blocking=True,
            description="No rule over the whole data set is broken; nothing runs otherwise.",
        ),
        dg.AssetCheckSpec(
            "no_findings",
            asset="validated_dataset",
            partitions_def=PARTITIONS,
            description="No row was quarantined and no warning was given.",
        ),
        dg.AssetCheckSpec(
            "fits_version_before",
            asset="validated_dataset",
            partitions_def=PARTITIONS,
            blocking=True,
            description="No test query became a training query, and not too much is gone, against "
            "the served version; drift is a warning (validation.changes).",
        ),
    ],
)
def data_checks(workspace: WorkspaceResource) -> Iterator[dg.AssetCheckResult]:
    """Read the outcome of the validation."""
    artifact = _artifact(workspace, "validated_dataset")
    metrics = artifact.meta.metrics
    rules = json.loads((artifact.folder / "validation.json").read_text(encoding="utf-8"))
    columns = ("name", "table", "broken", "checked", "sentence", "examples")
    broken = [[rule[column] for column in columns] for rule in rules if not rule["passed"]]
    metadata = {
        "rules broken": table(columns, broken),
        "quarantine": dg.MetadataValue.path(artifact.folder / "quarantine.jsonl"),
        "validation page": dg.MetadataValue.path(workspace.open().validation_page),
    }
    yield _outcome(
        "validated_dataset",
        "fit_for_use",
        passed=metrics["passed"],
        description=f"broken rules: {', '.join(metrics['broken']) or 'none'}",
        metadata=metadata,
    )
    quarantined = sum(metrics["quarantined"].values())
    yield _outcome(
        "validated_dataset",
        "no_findings",
        passed=not quarantined and not metrics["warnings"],
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{quarantined} rows quarantined, {len(metrics['warnings'])} warnings",
        metadata=metadata,
    )
    with as_failure():
        verdict = read_verdict(workspace.open())
    compared = verdict if verdict is not None and verdict.current == artifact.hash else None
    findings = [*compared.broken, *compared.warnings] if compared else []
    first = compared is None or compared.previous is None
    yield _outcome(
        "validated_dataset",
        "fits_version_before",
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR
        if compared and compared.broken
        else dg.AssetCheckSeverity.WARN,
        description="; ".join(findings) or ("no version before" if first else "within all bounds"),
        metadata={"findings": table(("finding",), [(line,) for line in findings])},
    )


@dg.asset_check(
    asset="teacher",
    partitions_def=PARTITIONS,
    description="Its MRR@10 on dev reaches gates.teacher_mrr.",
)
def above_floor(workspace: WorkspaceResource) -> dg.AssetCheckResult:
    """Hold the teacher to its floor."""
    reached = _dev_mrr(workspace, "teacher")
    floor = workspace.open().settings.gates.teacher_mrr
    return _outcome(
        "teacher",
        "above_floor",
        passed=reached >= floor,
        description=f"dev MRR@10 {reached:.4f}, floor {floor}",
        metadata={"dev MRR@10": reached, "floor": floor},
    )


@dg.asset_check(
    asset="student",
    partitions_def=PARTITIONS,
    additional_deps=["teacher"],
    description="Its MRR@10 on dev over the teacher's reaches gates.student_share.",
)
def near_teacher(workspace: WorkspaceResource) -> dg.AssetCheckResult:
    """Hold the student to its share of the teacher, measured on the same sample of dev."""
    reached, teachers = _dev_mrr(workspace, "student"), _dev_mrr(workspace, "teacher")
    floor = workspace.open().settings.gates.student_share
    samples = [_dev_sample(workspace, stage) for stage in ("student", "teacher")]
    description = f"dev MRR@10 {reached:.4f}, the teacher's {teachers:.4f}, floor {floor} of it"
    if samples[0] != samples[1]:
        description = (
            f"measured on {samples[0]}, the teacher on {samples[1]}: benchmark.dev_queries or "
            "dev_documents has changed in between; materialize the teacher again with `force`"
        )
    return _outcome(
        "student",
        "near_teacher",
        passed=samples[0] == samples[1] and reached >= floor * teachers,
        description=description,
        metadata={
            "dev MRR@10": reached,
            "teacher's dev MRR@10": teachers,
            "share": reached / teachers if teachers else 0.0,
            "floor": floor,
        },
    )


def _outcome(
    asset: str,
    check: str,
    *,
    passed: bool,
    description: str,
    metadata: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """The check's result, also said in the log: a run goes on after a check that does not block."""
    level = logging.INFO if passed else logging.WARNING
    verdict = "passed" if passed else "NOT passed"
    logger.log(level, "%s: check %s %s: %s", asset, check, verdict, description)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check,
        passed=passed,
        severity=severity,
        description=description,
        metadata=metadata,
    )


def _dev_mrr(workspace: WorkspaceResource, stage: str) -> float:
    return float(_artifact(workspace, stage).meta.metrics["dev"]["MRR@10"])


def _dev_sample(workspace: WorkspaceResource, stage: str) -> str:
    """How much of dev a model was measured on; of one size there is one sample only."""
    dev = _artifact(workspace, stage).meta.metrics["dev"]
    return f"{dev['queries']} queries and {dev['documents']} documents"


# One op for all three: in local mode only one process at a time may open the index. They block, so
# that the benchmark neither measures a wrong index nor fights for it.
@dg.multi_asset_check(
    name="live_index_checks",
    pool=QDRANT_LOCAL,
    retry_policy=RETRIES,
    specs=[
        dg.AssetCheckSpec(
            "holds_all_documents",
            asset="qdrant_collection",
            partitions_def=PARTITIONS,
            blocking=True,
            description="The collection counts as many points as there are documents.",
        ),
        dg.AssetCheckSpec(
            "answers_probe_queries",
            asset="qdrant_collection",
            partitions_def=PARTITIONS,
            blocking=True,
            description="Known queries get the model's best document from it.",
        ),
        dg.AssetCheckSpec(
            "ranks_as_the_model",
            asset="qdrant_collection",
            partitions_def=PARTITIONS,
            blocking=True,
            description="Index and model agree on the top ten, to gates.top10_agreement.",
        ),
    ],
)
def live_index_checks(workspace: WorkspaceResource) -> Iterator[dg.AssetCheckResult]:
    """Ask the collection that was built last, before anything is measured on it."""
    from rabtriever_core.index.checks.live_checks import check_built_index

    opened = workspace.open()
    with as_failure():
        live = check_built_index(opened)
    floor = opened.settings.gates.top10_agreement
    yield _outcome(
        "qdrant_collection",
        "holds_all_documents",
        passed=live.count == live.expected_count,
        description=f"{live.count} points for {live.expected_count} documents",
        metadata={"points": live.count, "documents": live.expected_count},
    )
    yield _outcome(
        "qdrant_collection",
        "answers_probe_queries",
        passed=not live.problem,
        description=live.problem or f"all {live.probe_queries} answered as by the model",
        metadata={"probe_queries": live.probe_queries, "collection": live.collection},
    )
    yield _outcome(
        "qdrant_collection",
        "ranks_as_the_model",
        passed=live.agreement >= floor,
        description=f"top-10 agreement {live.agreement:.4f}, floor {floor}",
        metadata={"agreement": live.agreement, "floor": floor, "queries": live.queries}
        | live.losses,
    )


@dg.asset_check(
    asset="release",
    partitions_def=PARTITIONS,
    pool=QDRANT_LOCAL,
    retry_policy=RETRIES,
    description="What is served holds and answers what its release does, at any time.",
)
def answers_as_promoted(workspace: WorkspaceResource) -> dg.AssetCheckResult:
    """Ask the collection behind the alias with the models of its release."""
    from rabtriever_core.releases.live import check_served_index

    opened = workspace.open()
    with as_failure():
        live = check_served_index(opened)
    floor = opened.settings.gates.top10_agreement
    whole = live.count == live.expected_count
    return _outcome(
        "release",
        "answers_as_promoted",
        passed=whole and not live.problem and live.agreement >= floor,
        description=live.problem
        or f"{live.count} points for {live.expected_count} documents, all {live.probe_queries} "
        f"probe queries answered, top-10 agreement {live.agreement:.4f}",
        metadata={"collection": live.collection, "agreement": live.agreement, "floor": floor},
    )


@dg.asset_check(
    asset="release",
    partitions_def=PARTITIONS,
    pool=QDRANT_LOCAL,
    retry_policy=RETRIES,
    description="What is served now finds what canaries.jsonl says it must.",
)
def answers_team_canaries(workspace: WorkspaceResource) -> dg.AssetCheckResult:
    """Ask the team's canaries of the served release; the job canary_watch does so on its own."""
    from rabtriever_core.automation.canary_watch import ask_canaries

    opened = workspace.open()
    with as_failure():
        canaries = ask_canaries(opened)
    return _outcome(
        "release",
        "answers_team_canaries",
        passed=not canaries.problems,
        description=canaries.text,
        metadata={
            "release": canaries.release or "none",
            "asked": canaries.asked,
            "failing": table(("canary",), [(line,) for line in canaries.problems]),
            "key": canaries.key,
        },
    )
