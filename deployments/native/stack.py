"""All processes of a deployment on this machine, on loopback, until Ctrl-C.

    python -m deployments.native.stack --workspace WORKSPACE

PostgreSQL (Dagster's records), Dagster's code location, webserver and daemon, and the query
service; the same commands as in deployments/compose. Qdrant is the server of QDRANT_URL, else local
mode, which lets one process in at a time: the query service keeps a copy in memory. When one
process ends, all do. Output goes to the terminal and to WORKSPACE/logs/stack/.
"""

import argparse
import logging
import os
import shlex
import socket
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import honcho.manager
from honcho.printer import Printer

from deployments.native.cluster import Cluster
from deployments.prepare import prepare
from rabtriever_core.errors import ConfigError, RabtrieverError
from rabtriever_core.workspace.access import in_one_line
from rabtriever_core.workspace.atomic import write_text

HOST = "127.0.0.1"
PORTS = {"webserver": 3000, "query": 8000, "code": 4000, "postgres": 5433}
"""What each process listens on, where no option says otherwise."""
LOG_BYTES, LOGS_BEFORE = 10_000_000, 5
"""Size of a log of a process, and how many full ones are kept."""
# Between SIGTERM and SIGKILL: a run in its last step may finish what it writes.
_GRACE_SECONDS = 20


class _Logs(Printer):  # type: ignore[misc] # honcho has no types
    """Prints lines as honcho does, and keeps each process's newest lines in files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(sys.stdout)
        self._folder = folder
        self._files: dict[str, RotatingFileHandler] = {}

    def write(self, message: Any) -> None:
        super().write(message)
        name, data = message.name, message.data
        if name not in self._files:
            self._files[name] = rotating(self._folder / f"{name}.log")
        text = data if isinstance(data, str) else data.decode("utf-8", errors="replace")
        self._files[name].emit(logging.makeLogRecord({"msg": text.removesuffix("\n")}))


def rotating(path: Path) -> RotatingFileHandler:
    """A log of lines; full, it becomes `path`.1, what was that `path`.2, and the oldest goes."""
    return RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS_BEFORE, encoding="utf-8")


def commands(root: Path, ports: dict[str, int]) -> dict[str, list[str]]:
    """Process → its command line."""
    on = {name: ["--host", HOST, "--port", str(port)] for name, port in ports.items()}
    found = ["--workspace", str(root / ".dagster_home" / "workspace.yaml")]
    return {
        "code": ["python", "-m", "dagster_project.code_location", *on["code"]],
        "webserver": ["dagster-webserver", *found, *on["webserver"]],
        "daemon": ["dagster-daemon", "run", *found],
        "query": ["rabtriever", "serve", "--workspace", str(root), *on["query"]],
    }


def run(root: Path, data: Path | None, ports: dict[str, int]) -> int:
    """Start everything and wait; returns the exit code of the process that ended first.

    Raises:
        ConfigError: a port is taken, or PostgreSQL does not start.
        RabtrieverError: the workspace cannot be prepared.
    """
    for name, port in ports.items():
        _check_free(name, port)
    root = root.resolve()
    home = prepare(root, data)
    server = f"{{host: {HOST}, port: {ports['code']}, location_name: rabtriever}}"
    write_text(home / "workspace.yaml", f"load_from:\n  - grpc_server: {server}\n")
    logs = root / "logs" / "stack"
    logs.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(root, ports["postgres"])
    postgres = rotating(logs / "postgres.log")
    if postgres.shouldRollover(logging.makeLogRecord({"msg": ""})):
        postgres.doRollover()  # its process writes the file itself, which is little
    postgres.close()
    cluster.start(logs / "postgres.log")
    try:
        return _supervise(root, cluster, ports, logs)
    finally:
        cluster.stop()


def _supervise(root: Path, cluster: Cluster, ports: dict[str, int], logs: Path) -> int:
    environment = os.environ | {
        "RABTRIEVER_WORKSPACE": str(root),
        "DAGSTER_HOME": str(root / ".dagster_home"),
        "DAGSTER_POSTGRES_URL": cluster.url,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    honcho.manager.KILL_WAIT = _GRACE_SECONDS
    manager = honcho.manager.Manager(_Logs(logs))
    # Webserver and daemon would start without definitions and look for them a minute later.
    after_code = f"until (: < /dev/tcp/{HOST}/{ports['code']}) 2> /dev/null; do sleep 0.3; done; "
    for name, command in commands(root, ports).items():
        wait = after_code if name in ("webserver", "daemon") else ""
        line = f"{wait}exec {shlex.join(command)}"
        manager.add_process(name, shlex.join(["bash", "-c", line]), env=environment, cwd=str(root))
    # Ends when PostgreSQL ends, and so ends the others.
    watch = ["tail", f"--pid={cluster.pid}", "-n", "0", "-F", str(logs / "postgres.log")]
    manager.add_process("postgres_log", f"exec {shlex.join(watch)}", env=environment, cwd=str(root))
    sys.stdout.write(
        f"Dagster: http://{HOST}:{ports['webserver']}  "
        f"queries: http://{HOST}:{ports['query']}/docs  logs: {logs}  Ctrl-C stops all\n"
    )
    sys.stdout.flush()
    manager.loop()
    return int(manager.returncode or 0)


def _check_free(name: str, port: int) -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} of {name} cannot be used ({error}): stop what listens there, or "
                f"choose another with --{name}-port"
            ) from None


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workspace", type=Path, default=Path(), help="where it all lies")
    parser.add_argument("--data", type=Path, help="your data in BEIR layout; the demo without it")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}-port", type=int, default=port, help=f"default {port}")
    given = parser.parse_args()
    ports = {name: getattr(given, f"{name}_port") for name in PORTS}
    try:
        code = run(given.workspace, given.data, ports)
    except (RabtrieverError, OSError) as error:
        sys.exit(f"error: {in_one_line(error) or error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
