"""Say why a run failed, in one line per step: `python -m dagster_project.last_failure SINCE`.

A run's log repeats every failure with its stack trace and names each step that was left out; this
is what is left for the person who started it. SINCE is when that was (`date +%s`): where the launch
failed before there was a run, the failure of an older one is not its reason.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from dagster_project.reasons import reasons_of


def reasons(instance: dg.DagsterInstance, since: datetime) -> Iterator[str]:
    """Step and message of everything that failed in the newest run begun since then, in order."""
    # Dagster's filter leaves out the moment itself, and stores may keep whole seconds only.
    begun = dg.RunsFilter(created_after=since - timedelta(seconds=1))
    runs = instance.get_runs(filters=begun, limit=1)
    if not runs or runs[0].status != dg.DagsterRunStatus.FAILURE:
        return
    for reason in reasons_of(instance, runs[0].run_id):
        yield f"{reason.place}: {reason.text}"


def main(since: datetime) -> int:
    """Print the reasons; 1, so that a Makefile's `||` fails too."""
    with dg.DagsterInstance.get() as instance:
        for reason in reasons(instance, since):
            sys.stderr.write(f"error: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(datetime.fromtimestamp(int(sys.argv[1]), UTC)))
