"""Why a run failed: its failed checks and steps, without stack traces."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Reason:
    """One thing that went wrong."""

    place: str
    """The step, or asset and check."""
    asset: str
    text: str
    release: str | None = None
    """The release that was refused."""


def reasons_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[Reason]:
    """Everything that failed in a run, in order; gates that a refusal names are told by it alone.

    Checks that may fail without ending a run are told too: they often say why a step failed.
    """
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                asset = check.asset_key.to_user_string()
                place = f"{asset}, check {check.check_name}"
                yield Reason(place, asset, check.description or "no description")
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            step, failure = str(event.step_key), event.step_failure_data
            stated = failure.user_failure_data
            if stated is not None and stated.description:
                release = stated.metadata.get("release")
                named = str(release.value) if release is not None else None
                yield Reason(step, step, stated.description, named)
            elif failure.error is not None:
                cause = failure.error.cause or failure.error
                yield Reason(step, step, cause.message.strip())
