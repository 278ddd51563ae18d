"""Artifacts: folders with a `meta.json`, built atomically and named by content hash."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from rabtriever_core.errors import ArtifactError, StageBusyError
from rabtriever_core.workspace.atomic import write_text
from rabtriever_core.workspace.disk import says_when_full
from rabtriever_core.workspace.identity import FIRST_VERSION, Identity, differences
from rabtriever_core.workspace.locks import file_lock

if TYPE_CHECKING:
    import numpy as np

META = "meta.json"
MISSING = "not built yet"
_LIBRARIES = ("rabtriever", "torch", "transformers")


class ArtifactMeta(BaseModel):
    """What made an artifact, and what is in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    key: str
    """Hash of what it was made from (`Identity.key`)."""
    version: int | None = None
    """Of the stage's code; None in artifacts made before stages had versions (`FIRST_VERSION`)."""
    config: dict[str, Any]
    parents: dict[str, str]
    """Content hash of every artifact it was made from."""
    dataset: str
    """Fingerprint of the data set."""
    metrics: dict[str, Any]
    versions: dict[str, str]
    """Libraries it was made with; for people to know, another version makes nothing anew."""
    files: dict[str, str]
    """md5 of every other file."""
    checksum: str | None = None
    """md5 of all that stands above; None in artifacts of versions that did not write it."""

    def sealed(self) -> "ArtifactMeta":
        """The same with its checksum."""
        return self.model_copy(update={"checksum": self._md5()})

    @property
    def is_intact(self) -> bool:
        """Whether it says what was written."""
        return self.checksum in (None, self._md5())

    @property
    def identity(self) -> Identity:
        """What it was made from."""
        return Identity(
            stage=self.stage,
            version=FIRST_VERSION if self.version is None else self.version,
            config=self.config,
            parents=self.parents,
            dataset=self.dataset,
        )

    def _md5(self) -> str:
        # By way of JSON, so that what is written and what is read back have the same values.
        values = json.loads(self.model_dump_json(exclude={"checksum"}))
        if self.version is None:
            del values["version"]  # an artifact without one was sealed without the field
        text = json.dumps(values, sort_keys=True)
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Artifact(BaseModel):
    """A finished artifact on disk."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    meta: ArtifactMeta
    reused: bool = False
    """True when an up-to-date artifact was found instead of built."""
    reasons: tuple[str, ...] = ()
    """Why it was built, where it just was."""

    @property
    def hash(self) -> str:
        """Content hash, equal to the one DVC records for the folder."""
        return folder_hash(self.folder)


def file_md5(path: Path) -> str:
    """md5 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def array_md5(array: "np.ndarray") -> str:
    """md5 of an array's type, shape and values, in hexadecimal."""
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.md5(head + array.tobytes(), usedforsecurity=False).hexdigest()


def folder_md5s(folder: Path) -> dict[str, str]:
    """md5 of every file below a folder, by relative POSIX path, sorted."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): file_md5(p) for p in files}


def folder_hash(folder: Path) -> str:
    """DVC's hash of a folder: md5 of the sorted list of its files and their md5s."""
    return _hash_of(folder_md5s(folder))


def stated_artifact(folder: Path) -> tuple[Artifact, str]:
    """An artifact and its hash as its meta.json states them; no other file of it is read.

    Raises:
        ArtifactError: meta.json is missing or damaged.
    """
    meta = _read_meta(folder)
    return Artifact(folder=folder, meta=meta), _hash_of(
        {**meta.files, META: file_md5(folder / META)}
    )


def _hash_of(md5s: Mapping[str, str]) -> str:
    entries = [{"md5": md5, "relpath": path} for path, md5 in sorted(md5s.items())]
    digest = hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False)
    return f"{digest.hexdigest()}.dir"


def load_artifact(folder: Path, parents: dict[str, str] | None = None) -> Artifact:
    """Open an artifact, checking its bytes and, where given, that its parents fit.

    Raises:
        ArtifactError: it is missing, damaged, or was made from other parents.
    """
    stage, meta = _stage_of(folder), _read_meta(folder)
    try:
        found = {path: md5 for path, md5 in folder_md5s(folder).items() if path != META}
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} was replaced while it was read: another process builds `{stage}`; wait "
            "until it ends, then run this again"
        ) from None
    if found != meta.files:
        differing = sorted(dict(found.items() ^ meta.files.items()))
        raise ArtifactError(f"{folder} is damaged: {', '.join(differing)} differ; {_repair(stage)}")
    for name, expected in (parents or {}).items():
        actual = meta.parents.get(name)
        if actual != expected:
            raise ArtifactError(
                f"{folder} was made from {name} {actual}, but the {name} here is {expected}: "
                f"`rabtriever run {stage}` makes it anew"
            )
    return Artifact(folder=folder, meta=meta)


def _read_meta(folder: Path) -> ArtifactMeta:
    stage = _stage_of(folder)
    try:
        meta = ArtifactMeta.model_validate_json((folder / META).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"no artifact at {folder}: `rabtriever run {stage}` makes it, or `dvc checkout` where "
            "DVC has it"
        ) from None
    except ValueError as error:
        problem = " ".join(str(error).split())
        raise ArtifactError(f"{folder / META} is damaged ({problem}): {_repair(stage)}") from None
    if not meta.is_intact:
        raise ArtifactError(f"{folder / META} is damaged: its checksum differs; {_repair(stage)}")
    return meta


def _stage_of(folder: Path) -> str:
    """The stage that makes a folder, as its command calls it."""
    return "benchmark_report" if folder.name == "reports" else folder.name


_REPAIR = "delete the folder, then `dvc checkout` or"


def _repair(stage: str) -> str:
    return f"{_REPAIR} `rabtriever run {stage}`"


def fault(error: ArtifactError) -> str:
    """What an error says is wrong with an artifact, without what to do about it."""
    return str(error).partition(_REPAIR)[0].rstrip(":; ")


def build_artifact(
    folder: Path,
    *,
    work: Path,
    identity: Identity,
    make: Callable[[Path, Path], dict[str, Any]],
    defaults: Mapping[str, Any] | None = None,
    reasons: Sequence[str] = (),
) -> Artifact:
    """Return the up-to-date artifact at `folder`, or make it and move it into place.

    Args:
        folder: where it belongs; its name is the stage's name.
        work: scratch space for unfinished work, kept when killed so that the next run resumes.
        identity: what it is made from.
        make: called with (output folder, checkpoint folder); returns metrics. It must be a pure
            function of the identity.
        defaults: see `differences`.
        reasons: why to make it again although it is up to date; nothing unfinished is resumed then.

    Raises:
        StageBusyError: another process is building the same artifact.
        DiskFullError: there was no room for it.
    """
    stage, forced = folder.name, bool(reasons)
    # By way of JSON, as it is read back: tuples are lists, paths are texts.
    identity = Identity.model_validate_json(identity.model_dump_json())
    with says_when_full(work, f"building `{_stage_of(folder)}`"), stage_lock(work, stage):
        if not forced:
            try:
                existing = load_artifact(folder)
            except ArtifactError as error:
                reasons = [fault(error) if folder.exists() else MISSING]
            else:
                reasons = differences(existing.meta.identity, identity, defaults or {})
                if not reasons:
                    return existing.model_copy(update={"reused": True})
        scratch = work / stage / identity.key[:16]
        output, checkpoints = scratch / "output", scratch / "checkpoints"
        # What a killed run left in `output` may be half a file; only checkpoints are resumed.
        shutil.rmtree(scratch if forced else output, ignore_errors=True)
        try:
            output.mkdir(parents=True)
            checkpoints.mkdir(exist_ok=True)
            metrics = make(output, checkpoints)
            meta = ArtifactMeta(
                stage=stage,
                key=identity.key,
                version=identity.version,
                config=identity.config,
                parents=identity.parents,
                dataset=identity.dataset,
                metrics=metrics,
                versions=_versions(),
                files=folder_md5s(output),
            ).sealed()
            write_text(output / META, meta.model_dump_json(indent=2) + "\n")
            replace_folder(output, folder)
        except BaseException:
            # No next run reads it, and on a full disk it takes the room that one needs.
            shutil.rmtree(output, ignore_errors=True)
            raise
        shutil.rmtree(work / stage, ignore_errors=True)
    return load_artifact(folder).model_copy(update={"reasons": tuple(reasons)})


def replace_folder(new: Path, target: Path) -> None:
    """Move a finished folder into place; what was there is removed afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = new.with_name(f"{new.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def stage_lock(work: Path, stage: str) -> Iterator[None]:
    """Hold the stage's lock; the operating system frees it when the process dies.

    Raises:
        StageBusyError: another process holds it.
    """
    import filelock

    lock = file_lock(work / f"{stage}.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise StageBusyError(
            f"another process is building `{stage}` in {work.parent}: wait until it ends, or stop "
            "it (its finished work is kept)"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in _LIBRARIES}
