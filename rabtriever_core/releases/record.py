"""The record of a release: `releases/<id>.json`, small, kept by git."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from rabtriever_core.errors import ReleaseError
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.encodable import Encodable

if TYPE_CHECKING:
    from rabtriever_core.workspace import Workspace

FOLDER = "releases"
METRIC = "MRR@10"
"""What releases are compared by."""
_CHECKSUM = "checksum"
DATA = "data"
"""Name among the parts of the raw data that data.dvc records."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GateResult(_Frozen):
    """What one gate found."""

    name: str
    passed: bool
    figure: float | None
    """What was measured; None where the gate is not a number's."""
    limit: float | None
    """What it is held to; None without a limit."""
    text: Encodable
    """The finding in one line."""


class Override(_Frozen):
    """Who served a release although a gate did not pass."""

    by: Encodable
    reason: Encodable
    time: datetime


class Release(_Frozen):
    """Everything that answers belong to, by content hash."""

    schema_version: Literal[1] = 1
    id: str
    """Number and the start of the parts' hash: `0007-3fa2c1`."""
    number: int
    """Counts up; what is older and newer is told by it, never by a clock."""
    parent: str | None
    """The release that was served when this one was made."""
    alias: str
    """The name it is served under."""
    dataset: str
    fingerprint: str
    """Of the validated data."""
    data: str
    """md5 of the raw data, as data.dvc has it."""
    parts: dict[str, str]
    """Stage → content hash of its artifact, equal to DVC's md5; the raw data too, where DVC keeps
    them."""
    collection: str
    """The physical collection."""
    count: int
    dimension: int
    settings: dict[str, Any]
    """All sections, as the artifacts were made with them."""
    settings_hash: str
    commit: str | None
    """Git's HEAD in the workspace; None outside a repository."""
    dirty: bool
    """Whether tracked files differed from it, DVC's ledgers and the releases apart."""
    metrics: dict[str, dict[str, dict[str, float]]]
    """Split → system → metric → value in 0..1."""
    gates: tuple[GateResult, ...] = ()
    """As they were found last; empty before."""
    override: Override | None = None
    created: datetime
    """UTC; for people only."""
    created_by: Encodable

    @property
    def quality(self) -> dict[str, float]:
        """Split → the student's `METRIC`, on the data the release was made with."""
        return {
            split: systems["student"][METRIC]
            for split, systems in self.metrics.items()
            if "student" in systems
        }


def release_id(number: int, parts: Mapping[str, str]) -> str:
    """`<number>-<hash6>` of a set of parts."""
    return f"{number:04d}-{parts_hash(parts)[:6]}"


def parts_hash(parts: Mapping[str, str]) -> str:
    """Hash of the parts: the same artifacts are the same release."""
    return hashlib.sha256(json.dumps(sorted(parts.items())).encode()).hexdigest()


def releases_folder(workspace: "Workspace") -> Path:
    """Where records, log and store lie."""
    return workspace.root / FOLDER


def write_record(workspace: "Workspace", release: Release) -> Path:
    """Write or replace a record in one step."""
    path = releases_folder(workspace) / f"{release.id}.json"
    values = json.loads(release.model_dump_json())
    written = values | {_CHECKSUM: _checksum(values)}
    write_json(path, written)
    return path


def _checksum(values: Mapping[str, Any]) -> str:
    """Of a record's other fields: nobody edits one, so what differs is damage."""
    return hashlib.md5(json.dumps(values).encode(), usedforsecurity=False).hexdigest()


def read_releases(workspace: "Workspace") -> dict[str, Release]:
    """All releases under the workspace's alias by id, oldest first.

    Raises:
        ReleaseError: a record is damaged.
    """
    found = every_release(workspace)
    return {release.id: release for release in found if release.alias == workspace.alias}


def read_release(workspace: "Workspace", id_: str) -> Release | None:
    """One release under the workspace's alias; None where there is no record of it.

    What every query asks for: a team that retrains for years has hundreds of records.

    Raises:
        ReleaseError: the record is damaged.
    """
    path = releases_folder(workspace) / f"{id_}.json"
    if not path.is_file():
        return None
    release = _read(path)
    return release if release.alias == workspace.alias else None


def every_release(workspace: "Workspace") -> list[Release]:
    """The releases of all aliases, oldest first: they share numbers and store.

    Raises:
        ReleaseError: a record is damaged.
    """
    found = [_read(path) for path in releases_folder(workspace).glob("*.json")]
    return sorted(found, key=lambda release: (release.number, release.id))


def find_release(releases: Mapping[str, Release], name: str) -> Release:
    """A release by id, by number, or by the start of its id.

    Raises:
        ReleaseError: there is none, or several.
    """
    if name in releases:
        return releases[name]
    if name.isdecimal():
        found = [release for release in releases.values() if release.number == int(name)]
    else:
        found = [release for id_, release in releases.items() if id_.startswith(name)]
    if len(found) != 1:
        known = ", ".join([release.id for release in found] or list(releases)[-5:]) or "none"
        problem = "several releases match" if found else "no release"
        raise ReleaseError(
            f"{problem} {name!r}; {'they are' if found else 'the newest are'} {known} "
            "(`rabtriever releases list` shows all; `git pull` brings records of other machines)"
        )
    return found[0]


def _read(path: Path) -> Release:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        # Records of versions that wrote none have no checksum.
        stated = values.pop(_CHECKSUM, None)
        if stated not in (None, _checksum(values)):
            raise ValueError("its checksum differs")
        return Release.model_validate(values)
    # pydantic's ValidationError and a decoder's errors are ValueErrors, too.
    except (ValueError, AttributeError) as error:
        problem = " ".join(str(error).split())
        raise ReleaseError(
            f"{path} is damaged ({problem:.300}): restore it with `git checkout -- {path.name}` in "
            f"{path.parent}"
        ) from None
