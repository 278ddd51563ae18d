"""sha256 of large files outside the workspace, read again only where they changed."""

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from rabtriever_core.workspace.atomic import write_json

FILE = "content_hashes.json"
_SETTLED_NS = 2_000_000_000
"""A file that was written just now may change again within one tick of its clock."""


class ContentHashes:
    """Hashes of files by what they hold, remembered by path, size and time of change."""

    def __init__(self, work: Path) -> None:
        self._path = work / FILE

    def of(self, files: Mapping[str, Path]) -> str:
        """One hash for files and the names they go by."""
        known = self._known()
        found = {str(path.resolve()): self._entry(path.resolve(), known) for path in files.values()}
        new = {path: entry for path, entry in found.items() if entry != known.get(path)}
        if new:
            # Only saves time: whoever may not write here reads the files once more.
            with contextlib.suppress(OSError):
                write_json(self._path, known | new)
        digest = hashlib.sha256()
        for name, path in sorted(files.items()):
            digest.update(f"{name}\0{found[str(path.resolve())][2]}\n".encode())
        return digest.hexdigest()

    def _known(self) -> dict[str, list[object]]:
        try:
            known: dict[str, list[object]] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known

    @staticmethod
    def _entry(path: Path, known: Mapping[str, list[object]]) -> list[object]:
        """Size, time of change, sha256; a time of 0 is none to trust."""
        status = path.stat()
        settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
        stamp = [status.st_size, status.st_mtime_ns if settled else 0]
        entry = known.get(str(path))
        if settled and entry is not None and entry[:2] == stamp:
            return entry
        with path.open("rb") as file:
            return [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
