"""Sensors: new data, failing canaries, failed runs; off unless `automation` switches them on.

One is always on, since it only writes down: what was made outside Dagster.

New data start `retrain_as_needed`: how much is trained again is decided once they are validated.
"""

import time

import dagster as dg

from dagster_project.defs.jobs import canary_watch, full_pipeline, keeping, retrain_as_needed
from dagster_project.defs.outside import report_outside
from dagster_project.defs.resources import AS_NEEDED, PARTITION_TAG
from dagster_project.policy import AUTOMATION, ROOTS
from dagster_project.reasons import reasons_of
from dagster_project.workspaces import SINGLE, own_name
from rabtriever_core.automation.data_watch import (
    Decision,
    decide,
    observe,
    parse_watch,
    validated_content,
)
from rabtriever_core.automation.webhook import notice, tell
from rabtriever_core.errors import ConfigError, DatasetError, RabtrieverError
from rabtriever_core.workspace import Workspace

_LONGEST_REASON = 2000
_OUTSIDE_SECONDS = 30
"""Between two looks at what was made outside Dagster."""


def _status(on: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


def new_data_of(workspace: str) -> dg.SensorDefinition:
    """The sensor that watches the data of one workspace."""
    automation = AUTOMATION[workspace]

    @dg.sensor(
        name=own_name("new_data", workspace),
        jobs=[retrain_as_needed],
        minimum_interval_seconds=automation.watch_seconds,
        default_status=_status(automation.watch_data),
        description="Retrain as needed once changed data stay as they are.",
    )
    def new_data(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = parse_watch(context.cursor)
        try:
            opened = Workspace.open(ROOTS[workspace])
            decision = decide(
                observe(opened, before),
                before,
                now=time.time(),
                settle_seconds=opened.settings.automation.settle_seconds,
                validated=validated_content(opened),
            )
        except DatasetError as error:
            # Perhaps it is being copied. What was remembered stays.
            return dg.SensorResult(skip_reason=f"waiting for a whole data set: {error}")
        cursor = decision.watch.model_dump_json()
        if decision.news is None:
            return dg.SensorResult(skip_reason=decision.reason, cursor=cursor)
        context.log.info("%s: a run is requested", decision.reason)
        return dg.SensorResult(run_requests=[_run_for(decision, workspace)], cursor=cursor)

    return new_data


def _run_for(decision: Decision, workspace: str) -> dg.RunRequest:
    # Config that is given takes the place of the job's own.
    config = keeping(AS_NEEDED)
    if decision.news == "data.dvc":
        config["ops"] = {"dataset": {"config": {"checkout": True}}}
    return dg.RunRequest(
        run_key=decision.key,
        job_name=retrain_as_needed.name,
        run_config=config,
        partition_key=None if workspace == SINGLE else workspace,
        tags={"rabtriever/because": decision.reason},
    )


def made_outside_of(workspace: str) -> dg.SensorDefinition:
    """The sensor that tells Dagster of what `rabtriever run` made in one workspace."""

    @dg.sensor(
        name=own_name("made_outside", workspace),
        minimum_interval_seconds=_OUTSIDE_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Show what was made outside Dagster, by `rabtriever run`, as materializations; "
        "starts nothing.",
    )
    def made_outside(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            told = report_outside(context.instance, Workspace.open(ROOTS[workspace]), workspace)
        except RabtrieverError as error:
            return dg.SkipReason(str(error))
        return dg.SkipReason(f"materialized: {', '.join(told)}" if told else "nothing new")

    return made_outside


@dg.run_status_sensor(
    name="canary_failure",
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[canary_watch],
    request_job=full_pipeline,
    default_status=_status(any(automation.canary_enabled for automation in AUTOMATION.values())),
    description="Tell the webhook of failing canaries, and retrain where the settings say so.",
)
def canary_failure(
    context: dg.RunStatusSensorContext,
) -> dg.RunRequest | dg.SkipReason:
    """Act on what the job canary_watch found."""
    run = context.dagster_run
    found = list(reasons_of(context.instance, run.run_id))
    if not found:
        return dg.SkipReason("all canaries get what they must")
    name, opened = _workspace_of(run)
    release, key = _asked(context.instance, run.run_id)
    tell(
        opened.settings,
        notice(
            opened.settings,
            event="canaries failed",
            workspace=_shown(name, opened),
            job=run.job_name,
            run_id=run.run_id,
            asset=found[0].asset,
            reason=found[0].text[:_LONGEST_REASON],
            release=release,
        ),
    )
    if not opened.settings.automation.canary_retrain:
        return dg.SkipReason("canaries fail; automation.canary_retrain is off")
    # The same failures of the same release start one run, however often they are found.
    return dg.RunRequest(
        run_key=key,
        partition_key=None if name == SINGLE else name,
        tags={"rabtriever/because": "canaries fail"},
    )


@dg.run_failure_sensor(
    name="run_failure",
    default_status=_status(any(automation.webhook_url for automation in AUTOMATION.values())),
    description="Tell the webhook of failed runs and refused releases.",
)
def run_failure(context: dg.RunFailureSensorContext) -> None:
    """Say what failed, where, and why."""
    run = context.dagster_run
    try:
        name, opened = _workspace_of(run)
    except RabtrieverError as error:
        context.log.error("nobody is told of the failure of run %s: %s", run.run_id, error)
        return
    found = list(reasons_of(context.instance, run.run_id))
    refused = next((reason for reason in found if reason.release), None)
    steps = [reason for reason in found if reason.place == reason.asset]
    told = [refused] if refused else steps or found
    reason = "; ".join(each.text for each in told) or context.failure_event.message or "unknown"
    tell(
        opened.settings,
        notice(
            opened.settings,
            event="release refused" if refused else "run failed",
            workspace=_shown(name, opened),
            job=run.job_name,
            run_id=run.run_id,
            asset=told[0].asset if told else None,
            reason=reason[:_LONGEST_REASON],
            release=refused.release if refused else None,
        ),
    )


def _workspace_of(run: dg.DagsterRun) -> tuple[str, Workspace]:
    """Name and workspace that a run is of.

    Raises:
        ConfigError: its settings are broken, or it is of none.
    """
    name = SINGLE if SINGLE in ROOTS else run.tags.get(PARTITION_TAG, "")
    if name not in ROOTS:
        raise ConfigError(f"run {run.run_id} is of no workspace (partition {name!r})")
    return name, Workspace.open(ROOTS[name])


def _shown(name: str, workspace: Workspace) -> str:
    return name or workspace.settings.dataset.name


def _asked(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str]:
    """Release and key of the canaries that a run asked."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is not None:
            found = entry.dagster_event.asset_check_evaluation_data.metadata
            return str(found["release"].value), str(found["key"].value)
    raise LookupError(f"run {run_id} asked no canaries")


sensors = [
    *(new_data_of(workspace) for workspace in ROOTS),
    *(made_outside_of(workspace) for workspace in ROOTS),
    canary_failure,
    run_failure,
]
