"""Faults that really happen: killed processes, full disks, damaged files, servers that die."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.workspace.artifacts import META

Reached = Callable[[str, tuple[Any, ...]], bool]
"""(audit event, its arguments) → whether the process dies here, before the event's effect."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def first_write(folder: Path) -> Reached:
    """When the first file below a folder is opened for writing."""
    return lambda event, arguments: (
        event == "open"
        and isinstance(arguments[0], str)
        and arguments[0].startswith(f"{folder}/")
        and bool(arguments[2] & _WRITING)
    )


def seal_of_a_checkpoint(folder: Path, name: str) -> Reached:
    """When a checkpoint below a folder is written but not sealed, and an older one is."""
    return lambda event, arguments: (
        event == "os.rename"
        and str(arguments[1]).startswith(f"{folder}/")
        and str(arguments[1]).endswith(f"checkpoint-20/{name}")
    )


def finished_but_for_meta(folder: Path) -> Reached:
    """When all files of an artifact are in place save the one that says so."""
    return lambda event, arguments: (
        event == "os.rename"
        and str(arguments[1]).startswith(f"{folder}/")
        and str(arguments[1]).endswith(f"/output/{META}")
    )


def between_the_moves(artifact: Path) -> Reached:
    """When the old artifact is moved away and the new one not yet in place."""
    return lambda event, arguments: event == "os.rename" and str(arguments[1]) == str(artifact)


def rename_onto(*targets: Path) -> Reached:
    """Before a file or folder is moved to one of these places."""
    names = {str(target) for target in targets}
    return lambda event, arguments: event == "os.rename" and str(arguments[1]) in names


def in_a_process(work: Callable[[], Any], killed_at: Reached | None = None) -> str:
    """Do something in a forked child; returns what it returned or raised, as text.

    With `killed_at` the child kills itself there with SIGKILL, and has to get there.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        if killed_at is not None:
            reached = killed_at

            def watch(event: str, arguments: tuple[Any, ...]) -> None:
                if event in ("open", "os.rename") and reached(event, arguments):
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(watch)
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed == (killed_at is not None), f"ended without getting there: {said}"
    return said


def flip(path: Path, where: float = 0.5) -> None:
    """Flip the lowest bit of one byte."""
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut a file to its first half."""
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], None]] = {"truncated": truncate, "bit-flipped": flip}


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A disk of its own of this size at a folder; skips the test where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk takes the right to mount one: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def no_room_on(disk: Path, left: int = 0) -> Iterator[None]:
    """Fill a disk up to some bytes."""
    ballast = disk / "ballast"
    chunk = bytes(4096)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free > left:
            file.write(chunk)
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def qdrant(folder: Path, port: int | None = None, die: str = "") -> Iterator[int]:
    """A stand-in for a Qdrant server (qdrant_standin.py); gives its port, ends with SIGKILL."""
    port = port or free_port()
    script = Path(__file__).with_name("qdrant_standin.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(port), "--die", die],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield port
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def read_json(path: Path) -> Any:
    """A JSON file's value."""
    return json.loads(path.read_text(encoding="utf-8"))
