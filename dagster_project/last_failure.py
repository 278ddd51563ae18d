"""Say why a run failed, in one line per step: `python -m dagster_project.last_failure SINCE`.

A run's log repeats every failure with its stack trace and names each step that was left out; this
is what is left for the person who started it. SINCE is when that was (`date +%s`): where the launch
failed before there was a run, the failure of an older one is not its reason.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg


def reasons(instance: dg.DagsterInstance, since: datetime) -> Iterator[str]:
    """Step and message of everything that failed in the newest run begun since then, in order."""
    # Dagster's filter leaves out the moment itself, and stores may keep whole seconds only.
    begun = dg.RunsFilter(created_after=since - timedelta(seconds=1))
    runs = instance.get_runs(filters=begun, limit=1)
    if not runs or runs[0].status != dg.DagsterRunStatus.FAILURE:
        return
    for entry in instance.all_logs(runs[0].run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                asset = check.asset_key.to_user_string()
                yield f"{asset}, check {check.check_name}: {check.description}"
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            failure = event.step_failure_data
            stated = failure.user_failure_data
            if stated is not None and stated.description:
                yield f"{event.step_key}: {stated.description}"
            elif failure.error is not None:
                cause = failure.error.cause or failure.error
                yield f"{event.step_key}: {cause.message.strip()}"


def main(since: datetime) -> int:
    """Print the reasons; 1, so that a Makefile's `||` fails too."""
    with dg.DagsterInstance.get() as instance:
        for reason in reasons(instance, since):
            sys.stderr.write(f"error: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(datetime.fromtimestamp(int(sys.argv[1]), UTC)))
