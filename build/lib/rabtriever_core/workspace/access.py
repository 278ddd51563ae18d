"""Who runs this, and what they may not touch, in one line that says what to do."""

import errno
import getpass
import os
import stat
import tempfile
from pathlib import Path

from rabtriever_core.config.secrets import without_secrets
from rabtriever_core.errors import RabtrieverError
from rabtriever_core.workspace.encodable import encodable

_NAMELESS = (KeyError, ImportError, OSError)  # of `getpass`, by version of Python
_DENIED = frozenset({errno.EACCES, errno.EPERM})
# What somebody named is no folder, no file, or no possible name.
_MISNAMED = frozenset(
    {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO}
)
# Of libraries that raise errors of their own: safetensors, SQLite.
_WORDS = ("Permission denied", "Read-only file system", "readonly database")


def user() -> str:
    """Name of the user; their number where the system knows no name (a container's user)."""
    try:
        return getpass.getuser()
    except _NAMELESS:
        return f"user {os.getuid()}"


def become_somebody() -> None:
    """Give a user of whom the system knows neither name nor home (a container's) both.

    DVC, Great Expectations and others refuse to work without.
    """
    try:
        getpass.getuser()
    except _NAMELESS:
        os.environ["LOGNAME"] = user()
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = _home()


def _home() -> str:
    """A folder of this user's own among the temporary files."""
    folder = Path(tempfile.gettempdir(), f"rabtriever-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        return str(folder)
    return tempfile.mkdtemp()  # somebody else was there first


def in_one_line(error: Exception) -> str | None:
    """What people are told of an expected error, without secrets; None for a fault of the code."""
    said = str(error) if isinstance(error, RabtrieverError) else refusal(error)
    return None if said is None else encodable(" ".join(without_secrets(said).split()))


def refusal(error: BaseException) -> str | None:
    """What to say of an error that comes from where a file lies or whose it is; None for others."""
    if isinstance(error, OSError) and error.errno is not None:
        place = _place(error)
        if error.errno == errno.EROFS:
            return f"{place} is on a read-only file system: mount it to be written, or copy it"
        if error.errno in _DENIED:
            return (
                f"{place} may not be used by {user()} ({error.strerror}): give this user access to "
                f"it{_owned_by(error)}, or run this as its owner"
            )
        if error.errno in _MISNAMED:
            return f"{place}: {error.strerror}; name another file or folder"
    elif any(words in str(error) for words in _WORDS):
        return f"{user()} may not write here ({error}): give this user access, or run as its owner"
    return None


def _place(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
    return " or ".join(names) or "a file"


def _owned_by(error: OSError) -> str:
    """Who owns the nearest thing that is there."""
    if not error.filename:
        return ""
    path = Path(os.fsdecode(error.filename)).absolute()
    for place in (path, *path.parents):
        try:
            return f" ({place} is owned by {place.owner()})"
        except (OSError, KeyError):
            continue
    return ""
