"""Locks between processes: files that the operating system frees when their holder dies."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Several users of a group may share a workspace.
_MODE = 0o664


def file_lock(path: Path, timeout: float) -> "BaseFileLock":
    """A lock that is not taken yet; its folder is made where it is missing.

    Args:
        path: the lock's file.
        timeout: seconds to wait for another process; `filelock.Timeout` is raised after them.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=timeout, mode=_MODE)
