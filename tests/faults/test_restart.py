"""A Dagster run whose processes are all killed: launched again, it finishes what there was.

In a deployment the code location notices the dead run (test_daemon.py: also where it was killed
itself); without one `make run` does, since the next launch would wait for ever for the pool that
the dead one holds.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from dagster_project.home import install_dagster_home
from tests.faults.conftest import Cell, answers
from tests.faults.matrix import RELEASE, cells

pytestmark = pytest.mark.slow


def test_killed_and_launched_again(cell: Cell) -> None:
    assert set(cells("run worker killed")) == {"teacher", RELEASE}
    workspace = cell.without("teacher").workspace
    home = install_dagster_home(workspace.root / ".dagster_home")
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "RABTRIEVER_WORKSPACE": str(workspace.root),
    }
    command = [sys.executable, "-m", "dagster", "job", "execute"]
    command += ["-m", "dagster_project.definitions", "-j", "full_pipeline"]

    def launch() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    process = launch()
    deadline = time.monotonic() + 300
    while not any(workspace.work.glob("teacher/*/checkpoints/**/md5s.json")):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < deadline, "never got so far"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert cell.is_served_as_before()
    prepared = subprocess.run(  # as `make run` does before it launches
        [sys.executable, "-m", "dagster_project.home", str(home)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "was killed before it ended: marked as failed" in prepared.stderr
    again = launch()
    try:
        said, _ = again.communicate(timeout=400)
    finally:
        if again.poll() is None:
            os.killpg(again.pid, signal.SIGKILL)
    assert again.returncode == 0, said[-3000:]
    assert "backbone: was up to date" in said
    assert "teacher resumes from checkpoint-" in said
    assert cell.is_what_it_should_be("teacher")
    assert answers(workspace) == cell.promoted
