"""Feedback: judgements of applications' users, in `feedback.jsonl` beside the data set's own files.

One JSON object per line, only ever added to: query, document_id, label (1 right, 0 wrong), release
(that answered), by (whose API key; null without keys), time, and comment where there is one. The
next validation makes training examples of them; the last judgement of a query and document holds.
"""

import errno
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.dataset import check_ids, read_jsonl
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace.atomic import json_line, replacing, write_bytes
from rabtriever_core.workspace.disk import says_when_full

FEEDBACK = "feedback.jsonl"
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""No text of a person has them; tabs and line ends may stay."""

MAX_ROWS = 100_000
"""The file is written anew for every judgement; so many are better moved into the data set."""
_LOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Judgement:
    """What somebody says of a document for a query."""

    query: str
    document_id: str
    relevant: bool
    release: str | None
    """Id of the release that answered."""
    by: str | None
    """Whose API key it was."""
    time: datetime
    comment: str = ""

    def row(self) -> dict[str, Any]:
        """Its line in the file."""
        row: dict[str, Any] = {
            "query": self.query,
            "document_id": self.document_id,
            "label": int(self.relevant),
            "release": self.release,
            "by": self.by,
            "time": self.time.isoformat(),
        }
        return row | {"comment": self.comment} if self.comment else row


def add_feedback(folder: Path, judgement: Judgement, lock: Path) -> bool:
    """Store a judgement durably; the one that holds already changes nothing.

    The file is replaced by a whole one: nobody reads half a line, whatever is killed, and DVC's
    cache stays as it is where it shares the file's bytes.

    Args:
        folder: the raw data set.
        judgement: to store.
        lock: held meanwhile; not in `folder`, where it would be part of the data.

    Returns:
        Whether something was written.

    Raises:
        ConfigError: there is no data set here, its folder cannot be written to or is too busy, or
            the file is full.
        DatasetError: the file is damaged, or no data set can hold the document's id.
        DiskFullError: there is no room.
    """
    from filelock import FileLock, Timeout

    check_ids([judgement.document_id], "document")
    if not folder.is_dir():
        raise ConfigError(
            f"no data set in {folder} to add feedback to: `rabtriever init` or `dvc pull` brings "
            "one, serving.feedback=false switches feedback off"
        )
    path = folder / FEEDBACK
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with says_when_full(folder, "storing feedback"), FileLock(lock, timeout=_LOCK_SECONDS):
            rows = list(read_jsonl(path)) if path.is_file() else []
            new = judgement.row()
            held = standing(row for _, row in rows).get(key(new))
            if held is not None and rows[held][1].get("label") == new["label"]:
                return False
            if len(rows) >= MAX_ROWS:
                raise ConfigError(
                    f"{path} holds {len(rows)} judgements, as many as it may: move them into "
                    "queries.jsonl and qrels/, then delete it"
                )
            _replace(path, new, lock.parent)
            return True
    except Timeout:
        raise ConfigError(f"{lock} was held by others for {_LOCK_SECONDS:.0f} s") from None
    except OSError as error:
        raise ConfigError(
            f"feedback cannot be stored in {folder} ({error}): let the service write there, or set "
            "serving.feedback=false"
        ) from None


def standing(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Positions of the rows that hold: of each query and document the last one."""
    return {key(row): position for position, row in enumerate(rows)}


def key(row: Mapping[str, Any]) -> tuple[str, str]:
    """What a row judges: its query's text, as texts are compared, and its document."""
    query, document = row.get("query"), row.get("document_id")
    return normalised(query) if isinstance(query, str) else "", str(document)


def query_id(text: str) -> str:
    """The id of a query that came as feedback: the same for texts that compare equal."""
    digest = hashlib.sha256(normalised(text).encode(errors="surrogatepass"))
    return f"feedback-{digest.hexdigest()[:16]}"


def feedback_lines(folder: Path) -> list[bytes]:
    """The file's lines without their ends, up to the last that is not blank; none without one."""
    path = folder / FEEDBACK
    # Bytes are parted at line feeds and carriage returns alone, as `read_jsonl` parts them; other
    # line ends may stand in somebody's text.
    lines = path.read_bytes().splitlines() if path.is_file() else []
    while lines and not lines[-1].decode("utf-8-sig", errors="replace").strip():
        lines.pop()
    return lines


def _replace(path: Path, row: Mapping[str, Any], outside: Path) -> None:
    """Add a row: written elsewhere, where nobody takes it for data, and moved into place."""
    before = path.read_bytes() if path.is_file() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    content = before + json_line(row)
    try:
        with replacing(path, scratch=outside) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The data lie on a disk of their own.
        write_bytes(path, content)
