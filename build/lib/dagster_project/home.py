"""Prepare a DAGSTER_HOME: `python -m dagster_project.home FOLDER`.

Without one, Dagster keeps no history and ignores concurrency pools.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.workspaces import SEVERAL
from rabtriever_core.workspace.access import in_one_line
from rabtriever_core.workspace.atomic import write_text

if TYPE_CHECKING:
    from dagster import DagsterInstance

TEMPLATE = Path(__file__).with_name("dagster.yaml")

# Tags that every run has: which of them tells workspaces apart.
_ONE, _EACH = "dagster/code_location", "dagster/partition"


def install_dagster_home(folder: Path) -> Path:
    """Make a folder a Dagster instance; an edited dagster.yaml stays. Returns its absolute path."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / TEMPLATE.name
    text = TEMPLATE.read_text(encoding="utf-8")
    partitioned = text.replace(f"key: {_ONE}", f"key: {_EACH}")
    # What this wrote for the other kind of deployment is no edit.
    if not target.exists() or target.read_text(encoding="utf-8") in (text, partitioned):
        several = bool(os.environ.get(SEVERAL, "").strip())
        write_text(target, partitioned if several else text)
    return folder


def end_dead_runs(folder: Path) -> list[str]:
    """Mark runs as failed whose process is gone from this machine, and free the pools they hold.

    A code location does this for the runs that it started, while it lives itself. Else a run killed
    with SIGKILL would hold its pool's slot and its place in the queue for ever, and the next run
    wait for it.

    Returns:
        Ids of these runs.
    """
    if not _has_records(folder):
        return []
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    going = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    ended = []
    with DagsterInstance.from_config(str(folder)) as instance:
        for run in instance.get_runs(RunsFilter(statuses=going)):
            pid = _executor(instance, run.run_id)
            if pid is None or _is_alive(pid):
                continue
            instance.report_run_failed(run, f"process {pid} of this run was killed")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended.append(run.run_id)
    return ended


def _has_records(folder: Path) -> bool:
    """Whether there may be runs: in files, or in the storage that dagster.yaml names."""
    import yaml

    if (folder / "history").is_dir():
        return True
    settings = folder / TEMPLATE.name
    return settings.is_file() and "storage" in (yaml.safe_load(settings.read_text("utf-8")) or {})


def _executor(instance: "DagsterInstance", run_id: str) -> int | None:
    """Process that executes a run, as its first engine event has it."""
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        data = event.event_specific_data if event is not None else None
        for name, value in (getattr(data, "metadata", None) or {}).items():
            if name == "pid" and str(value.value).isdecimal():
                return int(str(value.value))
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    try:
        home = install_dagster_home(Path(sys.argv[1]))
    except OSError as error:
        sys.exit(f"error: {in_one_line(error) or error}")
    for run in end_dead_runs(home):
        sys.stderr.write(f"run {run} was killed before it ended: marked as failed\n")
