"""`make stack` for real: a tick of the daemon ends in a new release that is served."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from honcho.printer import Message

from deployments.native import stack as native
from deployments.native.cluster import Cluster
from deployments.native.stack import PORTS
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.record import read_releases
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from tests.e2e.conftest import small_data, small_workspace

__all__ = ["small_data"]

Stack = subprocess.Popen[bytes]
ROOT = Path(__file__).parents[2]
QUERY = {"query": "Well. He lied again and I am furious. People around me can hear.", "k": 3}


def free_ports() -> dict[str, int]:
    sockets = {name: socket.socket() for name in PORTS}
    for each in sockets.values():
        each.bind(("127.0.0.1", 0))
    ports = {name: each.getsockname()[1] for name, each in sockets.items()}
    for each in sockets.values():
        each.close()
    return ports


def command(root: Path, ports: dict[str, int]) -> list[str]:
    flags = [flag for name, port in ports.items() for flag in (f"--{name}-port", str(port))]
    return [sys.executable, "-m", "deployments.native.stack", "--workspace", str(root), *flags]


@contextmanager
def stack(root: Path, ports: dict[str, int], output: Path) -> Iterator[Stack]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command(root, ports), cwd=ROOT, env=environment, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def asked(port: int, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Status and answer; (0, {}) where nobody listens."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", content, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0, {}


def wait_for(condition: Callable[[], Any], seconds: float, process: Stack) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, "the stack ended"
        assert time.monotonic() < deadline, "never got so far"
        time.sleep(1)
    return found


def rows(cluster: Cluster, query: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(cluster.url.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def health_checks(
    root: Path, ports: dict[str, int], cluster: Cluster
) -> dict[str, "subprocess.CompletedProcess[str]"]:
    """Those of the compose file, on the ports here."""
    services = yaml.safe_load((ROOT / "deployments/compose/compose.yaml").read_text())["services"]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{cluster.binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(root / ".dagster_home"),
        "DAGSTER_POSTGRES_URL": cluster.url,
    }
    done = {}
    for name in ("code-location", "webserver", "daemon", "query", "postgres"):
        kind, *check = services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        for process, port in PORTS.items():
            check = [part.replace(str(port), str(ports[process])) for part in check]
        if name == "postgres":
            check += ["--host=127.0.0.1", f"--port={ports['postgres']}"]
        done[name] = subprocess.run(
            check, env=environment, cwd=root, capture_output=True, text=True, check=False
        )
    return done


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    ports = free_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["code"]))
        taken.listen()
        finished = subprocess.run(
            command(tmp_path / "work", ports), cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"error: port {ports['code']} of code cannot be used")
    assert "--code-port" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and shutil.which("initdb") is None,
    reason="PostgreSQL is not installed",
)
def test_a_tick_of_the_daemon_ends_in_a_new_release_that_is_served(
    tmp_path: Path, small_data: Path, request: pytest.FixtureRequest
) -> None:
    workspace = small_workspace(tmp_path / "work", small_data)
    for stage in STAGES:
        run_stage(workspace, stage.name)
    first = promote(workspace, by="test").release.id
    params = workspace.root / "params.yaml"
    values = yaml.safe_load(params.read_text())
    # Another release, without training.
    values["calibration"]["method"] = "temperature"
    # One tick, once everything is up.
    tick = datetime.now(UTC) + timedelta(seconds=120)
    values["automation"] |= {"retrain_enabled": True, "retrain_cron": f"{tick:%M %H} * * *"}
    params.write_text(yaml.safe_dump(values))
    ports, output = free_ports(), tmp_path / "stack.txt"
    answers: list[tuple[int, str | None]] = []

    cluster = Cluster(workspace.root, ports["postgres"])
    # For root it lies outside the workspace.
    request.addfinalizer(lambda: shutil.rmtree(cluster.folder, ignore_errors=True))
    with stack(workspace.root, ports, output) as process:

        def ready(name: str, path: str) -> bool:
            return asked(ports[name], path)[0] == 200

        def query() -> str | None:
            status, answer = asked(ports["query"], "/v1/search", QUERY)
            answers.append((status, answer.get("release")))
            return answer.get("release")

        wait_for(lambda: ready("query", "/readyz"), 120, process)
        assert query() == first
        wait_for(lambda: ready("webserver", "/server_info"), 120, process)
        second = wait_for(lambda: (new := query()) not in (None, first) and new, 480, process)
        assert set(read_releases(Workspace.open(workspace.root))) == {first, second}

        done = "select run_id, run_body from runs where status = 'SUCCESS'"
        ((run_id, body),) = wait_for(lambda: rows(cluster, done), 120, process)
        assert '"dagster/schedule_name": "weekly_retraining"' in body
        assert rows(cluster, "select count(*) from runs") == [(1,)]
        assert rows(cluster, "select status from job_ticks where status <> 'SKIPPED'") == [
            ("SUCCESS",)
        ]
        said = asked(ports["query"], "/v1/release")[1]
        assert said["id"] == second
        seen = "{ runOrError(runId: %s) { ... on Run { status assets { key { path } } } } }"
        status, shown = asked(ports["webserver"], "/graphql", {"query": seen % json.dumps(run_id)})
        assert (status, shown["data"]["runOrError"]["status"]) == (200, "SUCCESS")

        for name, check in health_checks(workspace.root, ports, cluster).items():
            assert check.returncode == 0, (name, check.stdout, check.stderr)

    # Only Qdrant's local mode, one process at a time, may have made a query wait in vain.
    assert {status for status, _ in answers} <= {200, 503}
    assert [release for status, release in answers if status == 200][-1] == second
    assert process.returncode is not None
    for port in ports.values():
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
    logs = workspace.root / "logs" / "stack"
    for name in ("code", "webserver", "daemon", "query", "postgres"):
        assert (logs / f"{name}.log").stat().st_size > 0, name
    assert "database system is shut down" in (logs / "postgres.log").read_text()


def test_logs_are_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LOG_BYTES", 100)
    monkeypatch.setattr(native, "LOGS_BEFORE", 2)
    logs = native._Logs(tmp_path)
    for number in range(50):
        for data in (f"line {number} of 50 %s\n", b"bytes \xff\n"):
            logs.write(Message("line", data, datetime.now(), "query", None))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["query.log", "query.log.1", "query.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert "line 49 of 50 %s\n" in "".join(path.read_text() for path in tmp_path.iterdir())
