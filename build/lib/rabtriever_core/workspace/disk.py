"""A full disk, told apart from other failures whatever library met it first."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from rabtriever_core.errors import DiskFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Of libraries that raise errors of their own: safetensors, SQLite, DVC's output.
_WORDS = ("No space left on device", "os error 28", "disk is full", "Disk quota exceeded")
# Torch says no more than that a write failed.
_VAGUE = ("PytorchStreamWriter failed", "unexpected pos")
_AS_GOOD_AS_NOTHING = 2**20


@contextlib.contextmanager
def says_when_full(folder: Path, doing: str) -> Iterator[None]:
    """Turn what a library raises on a full disk into one error that says so.

    Args:
        folder: on the disk that is written to; it need not exist yet.
        doing: what was going on, as the subject of "was stopped".

    Raises:
        DiskFullError: there was no room; says where, and what to do.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if not is_full(error, folder):
            raise
        place = _existing(folder)
        mebibytes = shutil.disk_usage(place).free / 2**20
        raise DiskFullError(
            f"the disk of {place} is full ({mebibytes:.1f} MiB left): {doing} was stopped, nothing "
            "half-written is used and what was there before stays; make room (`dvc gc`, "
            "`rabtriever releases prune`), then run it again"
        ) from error


def is_full(error: BaseException, folder: Path) -> bool:
    """Whether an error, or one that led to it, came from a full disk."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        text = str(seen)
        if any(words in text for words in _WORDS):
            return True
        if any(words in text for words in _VAGUE):
            return shutil.disk_usage(_existing(folder)).free < _AS_GOOD_AS_NOTHING
        seen = seen.__cause__ or seen.__context__
    return False


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.resolve().parents) if path.exists())
