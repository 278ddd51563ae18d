"""New data: noticed by content, used once they have stayed as they are.

A sensor calls `observe` and `decide` again and again; what it has to remember between two calls is
a `Watch`, which it keeps as text. Times are the caller's clock, in seconds: one that goes backwards
makes the data wait anew.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rabtriever_core.dvc.recording import DATA, data_md5
from rabtriever_core.errors import DatasetError
from rabtriever_core.stages.validated_dataset import fingerprint
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import META, ArtifactMeta, folder_hash

News = Literal["files", "data.dvc"]
"""What is new: the files of the data set, or the record of other ones (a `git pull` brought it)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Frozen):
    """The data of a workspace at one moment."""

    stamp: str
    """Of names, sizes and times of change: the same stamp, the same content."""
    content: str
    """Hash of the files of the data set."""
    folder: str
    """Hash of everything below `data/`, as DVC takes it; empty where DVC does not keep the data."""
    recorded: str
    """md5 in data.dvc; empty without one."""


class Watch(_Frozen):
    """What is remembered between two looks."""

    data: Data
    """As of the last look."""
    since: float
    """When they were first seen so."""
    done_content: str
    """Content that was used last, or needs no run."""
    done_recorded: str
    """md5 in data.dvc at that time."""


@dataclass(frozen=True)
class Decision:
    """What follows from a look."""

    watch: Watch
    """To remember."""
    news: News | None
    """Start a run, of this; None: not now."""
    reason: str
    """Why, or why not."""
    key: str = ""
    """Names the news: the same for the same change, however often it is asked about."""


def parse_watch(text: str | None) -> Watch | None:
    """Read what was remembered; None for nothing, or for what another version wrote."""
    try:
        return Watch.model_validate_json(text) if text else None
    except ValidationError:
        return None


def observe(workspace: Workspace, before: Watch | None) -> Data:
    """Look at the data; files are read only where their stamp has changed.

    Raises:
        DatasetError: there is no data set, or a file of it is missing: perhaps it is being copied.
        VersioningError: data.dvc is damaged.
    """
    root = workspace.dataset_folder
    kept = workspace.root / DATA
    inside = root.resolve().is_relative_to(kept)
    if not root.is_dir():
        raise DatasetError(f"no data yet in {root}")
    stamp = _stamp(kept if inside else root)
    recorded = (data_md5(workspace.root) if inside else None) or ""
    if before is not None and before.data.stamp == stamp:
        return before.data.model_copy(update={"recorded": recorded})
    return Data(
        stamp=stamp,
        content=fingerprint(workspace),
        folder=folder_hash(kept) if inside else "",
        recorded=recorded,
    )


def decide(
    data: Data, before: Watch | None, *, now: float, settle_seconds: float, validated: str | None
) -> Decision:
    """Whether the data call for a run.

    Args:
        data: as they are.
        before: what was remembered; None at the first look.
        now: the clock.
        settle_seconds: how long they must have stayed as they are.
        validated: content that was validated last (`validated_content`); it needs no run.
    """
    if before is None:
        # Without memory, what was validated is what was used (nothing: all is new). Where the files
        # are those, a data.dvc that records others is the news; else the files are it.
        if data.content == validated:
            used = data.folder
        else:
            used = "" if data.recorded == data.folder else data.recorded
        before = Watch(data=data, since=now, done_content=validated or "", done_recorded=used)
    same = (data.stamp, data.recorded) == (before.data.stamp, before.data.recorded)
    since = before.since if same and before.since <= now else now
    watch = before.model_copy(update={"data": data, "since": since})
    # A record whose files lie beside it brings nothing that the files do not.
    arrived = bool(data.recorded) and data.recorded not in (before.done_recorded, data.folder)
    # Files of a record that a run was started for are the ones that it brought.
    known = data.content in (before.done_content, validated)
    changed = not known and (not data.folder or data.folder != before.done_recorded)
    if not arrived and not changed:
        done = {"done_content": data.content, "done_recorded": data.recorded}
        return Decision(watch.model_copy(update=done), None, "the data are as they were used last")
    if arrived and changed:
        return Decision(
            watch,
            None,
            "both the files and data.dvc have changed: `dvc checkout data.dvc` takes what is "
            "recorded, `dvc add data` records the files",
        )
    waited = now - since
    if waited < settle_seconds:
        left = settle_seconds - waited
        return Decision(watch, None, f"the data have changed, and may still: {left:.0f} s to go")
    news: News = "data.dvc" if arrived else "files"
    name = data.recorded if arrived else data.content
    done = {"done_content": data.content, "done_recorded": data.recorded}
    return Decision(
        watch.model_copy(update=done),
        news,
        f"{'data.dvc records' if arrived else 'the files have'} new content ({name[:12]})",
        f"{news}-{name[:16]}-{since:.0f}",
    )


def validated_content(workspace: Workspace) -> str | None:
    """Content that was validated last, fit for use or not; None when none was, or it is damaged."""
    try:
        text = (workspace.artifact("validated_dataset") / META).read_text(encoding="utf-8")
        return ArtifactMeta.model_validate_json(text).dataset
    except (OSError, ValueError):
        return None


def _stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue  # removed while we looked; the next look has another stamp
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
