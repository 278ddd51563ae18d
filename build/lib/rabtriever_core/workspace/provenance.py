"""Where and by what a measurement was made: machine, versions, commit, command."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rabtriever_core.config.secrets import without_secrets

_PACKAGES = ("rabtriever", "torch", "transformers", "peft", "numpy", "ir-measures")


def machine() -> dict[str, Any]:
    """Processor, usable cores, memory, accelerator, operating system, Python; no names, no paths.

    Returns:
        cpu, cores (that this process may use), memory_gib, accelerator (absent without one), os,
        python.
    """
    found: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "os": _system(),
        "python": platform.python_version(),
    }
    import torch

    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
    return found


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on most."""
    return {name: metadata.version(name) for name in _PACKAGES}


def commit() -> str | None:
    """The git commit of this code, `+changes` where its files differ; None outside git."""
    folder = Path(__file__).parent
    try:
        head = _git(folder, "rev-parse", "HEAD").strip()
        changed = _git(folder, "status", "--porcelain", "--", ".").strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head[:12]}+changes" if changed else head[:12]


def command_line(program: str, arguments: Sequence[str]) -> str:
    """A command as typed, absolute paths cut to their last part: they say nothing elsewhere."""
    return without_secrets(shlex.join([program, *(_relative(a) for a in arguments)]))


def in_words(facts: dict[str, Any]) -> str:
    """A machine in one line."""
    parts = [facts["cpu"], f"{facts['cores']} cores", f"{facts['memory_gib']:g} GiB"]
    parts += [facts[key] for key in ("accelerator", "os") if key in facts]
    return ", ".join(parts)


def computer(device: str) -> str:
    """This machine, torch's threads, the device computed on and torch's version, in one line."""
    import torch

    threads = f"{torch.get_num_threads()} threads"
    return f"{in_words(machine())}, {threads}, {device}, torch {torch.__version__}"


def _relative(argument: str) -> str:
    head, separator, tail = argument.rpartition("=")
    return f"{head}{separator}{Path(tail).name}" if tail.startswith("/") else argument


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603  fixed arguments
        ["git", "-C", str(folder), *arguments],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
