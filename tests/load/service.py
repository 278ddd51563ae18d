"""The query service under test, as a process of its own, and what it takes."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Running:
    """A service that answers."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, Any]:
        """Status and answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError as error:
            return 0, str(error)

    def rss_mib(self) -> float:
        """Memory that the process holds."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return round(int(line.split()[1]) / 1024, 1)
        raise AssertionError("no VmRSS")

    def wait_ready(self, seconds: float = 120) -> str:
        """Id of the release that answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status, said = self.get("/readyz")
            if status == 200:
                return str(said["release"])
            time.sleep(0.2)
        raise AssertionError(f"not ready: {status} {said}")


@contextmanager
def serving(
    workspace: Path,
    port: int,
    log: Path,
    environment: dict[str, str] | None = None,
    **settings: object,
) -> Iterator[Running]:
    """Start it with settings of the section `serving`; it is stopped at the end."""
    given = {f"RABTRIEVER_SERVING__{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "rabtriever_core.cli", "serve"]
    with log.open("a") as file:
        process = subprocess.Popen(
            [*command, "--workspace", str(workspace), "--port", str(port)],
            cwd=ROOT,
            env=os.environ | given | (environment or {}) | {"OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        running = Running(port, process.pid)
        running.wait_ready()
        yield running
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def locust(
    url: str, queries: Path, out: Path, clients: int, seconds: float
) -> "subprocess.Popen[bytes]":
    """So many clients for so long."""
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "tests/load/locustfile.py")]
    options = ["--headless", "--only-summary", "-u", str(clients), "-r", str(clients)]
    return subprocess.Popen(
        [*command, *options, "--host", url, "--run-time", f"{seconds:g}s", "--loglevel", "ERROR"],
        cwd=out.parent,
        env=os.environ | {"LOAD_QUERIES": str(queries), "LOAD_OUT": str(out)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
