"""Dagster's daemon and code location, started as `make stack` does, to be stopped and killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.scheduler.instigation import InstigatorTick

from dagster_project.home import install_dagster_home
from deployments.native.stack import HOST, PORTS, commands
from rabtriever_core.workspace import Workspace
from tests.faults.injection import free_port

ROOT = Path(__file__).parents[2]
_LOCATION = "rabtriever"


class Deployment:
    """A code location of its own, and a daemon that comes and goes; records in SQLite.

    On leaving, every process that it started is killed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.home = install_dagster_home(workspace.root / ".dagster_home")
        self.output = workspace.root / "deployment.txt"
        self._port = free_port()
        self._commands = commands(workspace.root, PORTS | {"code": self._port})
        server = f"{{host: {HOST}, port: {self._port}, location_name: {_LOCATION}}}"
        self._found = self.home / "workspace.yaml"
        self._found.write_text(f"load_from:\n  - grpc_server: {server}\n", encoding="utf-8")
        self._environment = os.environ | {
            "DAGSTER_HOME": str(self.home),
            "RABTRIEVER_WORKSPACE": str(workspace.root),
            "PYTHONPATH": str(ROOT),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.instance = DagsterInstance.from_config(str(self.home))

    def __enter__(self) -> "Deployment":
        self.code = self.start_code()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            self.kill(process)
        self.instance.dispose()

    def start_code(self) -> "subprocess.Popen[bytes]":
        """Start the code location, whose children execute the runs; waits until it answers."""
        process = self._start("code")
        check = [sys.executable, "-m", "dagster", "api", "grpc-health-check"]
        check += ["--port", str(self._port)]
        self.wait(
            lambda: not subprocess.run(check, env=self._environment, capture_output=True).returncode
        )
        return process

    def start_daemon(self) -> "subprocess.Popen[bytes]":
        """Start the daemon; waits until it has looked at sensors, queue and runs."""
        begun = time.time()
        process = self._start("daemon")
        watched = {"SENSOR", "QUEUED_RUN_COORDINATOR", "MONITORING"}

        def looked() -> bool:
            beats = self.instance.get_daemon_heartbeats()
            return all(name in beats and beats[name].timestamp > begun for name in watched)

        self.wait(looked)
        return process

    def submit(self, job: str) -> None:
        """Put a run of a job into the queue."""
        launch = [sys.executable, "-m", "dagster", "job", "launch", "--job", job]
        subprocess.run(
            [*launch, "--workspace", str(self._found), "--location", _LOCATION],
            env=self._environment,
            check=True,
            capture_output=True,
        )

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """SIGKILL to a process and to those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait(self, condition: Callable[[], Any], seconds: float = 120) -> Any:
        """Wait until something is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"never got so far: {self.said()}"
            time.sleep(0.05)
        return found

    def said(self) -> str:
        """The last that the processes printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")[-4000:]

    def runs(self) -> list[DagsterRun]:
        """All runs, the oldest first."""
        return list(self.instance.get_runs(ascending=True))

    def status(self, run: DagsterRun) -> str:
        """Status of a run now."""
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return str(found.status.value)

    def events(self, run: DagsterRun, kind: DagsterEventType) -> Counter[str]:
        """Step (empty for the run itself) → how many events of a kind."""
        entries = self.instance.all_logs(run.run_id, of_type=kind)
        return Counter(entry.step_key or "" for entry in entries)

    def ticks(self, sensor: str) -> list[InstigatorTick]:
        """Ticks of a sensor, the newest first."""
        for state in self.instance.all_instigator_state():
            if state.instigator_name == sensor:
                return list(self.instance.get_ticks(state.instigator_origin_id, state.selector_id))
        return []

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        program, *arguments = self._commands[name]
        binary = Path(sys.executable).with_name(program)
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [str(binary), *arguments],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process
