"""The one way of writing a file that others may read: beside it, then into its place.

A reader finds the old content or the new one, never half of it. The file is replaced and never
written into: where it is a hard link (DVC's cache links files so) or a symbolic link, what it is
linked with stays as it was.
"""

import contextlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_LINE_ENDS = "\x85\u2028\u2029"
"""Beside those that JSON escapes anyway."""


@contextlib.contextmanager
def replacing(path: Path, *, private: bool = False, scratch: Path | None = None) -> Iterator[Path]:
    """A new, empty file to write to, which takes the place of `path` when the block ends well.

    Folders that are missing are made. The content is on disk, under its name, when this returns;
    after an error `path` is as it was. Who might read and write a file of its own still may.

    Args:
        path: the file to write or replace.
        private: whether nobody but its owner may read it.
        scratch: the folder for the unfinished file, on the same disk; beside `path` when None.
    """
    folder = path.parent if scratch is None else scratch
    folder.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        mode = 0o600 if private else 0o666  # the process's umask takes its part
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        _keep_access(path, unfinished, 0o600 if private else 0o777)
        yield unfinished
        _to_disk(unfinished)
        unfinished.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        if error.filename == str(unfinished):  # nobody knows it by that name
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def copy_file(source: Path, path: Path) -> None:
    """Write or replace a file with another one's content."""
    with replacing(path) as unfinished:
        shutil.copyfile(source, unfinished)


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write or replace a file."""
    with replacing(path, private=private) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write or replace a UTF-8 file; line ends stay as they are in `text`."""
    write_bytes(path, text.encode(), private=private)


def write_json(path: Path, value: Any, *, indent: int | None = 2, private: bool = False) -> None:
    """Write or replace a JSON file, letters beyond ASCII as they are, with a line end."""
    write_bytes(path, _json(value, indent), private=private)


def write_json_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write or replace a file with one JSON value per line."""
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        file.writelines(json_line(row) for row in rows)


def json_line(row: Any) -> bytes:
    """A JSON value on a line of its own, for a file of such lines.

    What other tools (`str.splitlines`, editors, JavaScript) take for a line's end is escaped.
    """
    line = _json(row, None)
    for character in _LINE_ENDS:
        line = line.replace(character.encode(), b"\\u%04x" % ord(character))
    return line


def _json(value: Any, indent: int | None) -> bytes:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # A lone surrogate, which broken input may hold, has no UTF-8: it is escaped (`\udc80`).
    return f"{text}\n".encode(errors="backslashreplace")


def _keep_access(path: Path, unfinished: Path, most: int) -> None:
    """Give a file's successor its owner, where this process may, and of its mode what is allowed.

    What is linked is another's, whose mode (DVC's cache: read-only) is not the file's.
    """
    try:
        before = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISREG(before.st_mode) and before.st_nlink == 1:
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            with contextlib.suppress(PermissionError):
                os.chown(unfinished, before.st_uid, before.st_gid)
        unfinished.chmod(stat.S_IMODE(before.st_mode) & most)


def _to_disk(path: Path) -> None:
    """Have the operating system write a file's content, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
