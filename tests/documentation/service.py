"""The query service, started as a page says."""

import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def started(
    command: Sequence[str], port: int, folder: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    """Ready within the block, stopped after it."""
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://localhost:{port}/readyz", timeout=5):
                    break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
