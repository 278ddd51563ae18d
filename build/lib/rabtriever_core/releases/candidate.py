"""A candidate: what the stages built last, recorded and stored as a release not served yet."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabtriever_core.errors import ReleaseError
from rabtriever_core.evaluation.results import Results
from rabtriever_core.releases.log import now
from rabtriever_core.releases.record import (
    DATA,
    FOLDER,
    Release,
    every_release,
    parts_hash,
    read_releases,
    release_id,
    write_record,
)
from rabtriever_core.releases.store import put
from rabtriever_core.stages.registry import STAGES, Stage
from rabtriever_core.stages.run import load_inputs
from rabtriever_core.stages.validated_dataset import fingerprint
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact, folder_hash

# What `load_inputs` checks: that all artifacts are there, whole, and made from one another.
_ALL = Stage("release", 1, "", tuple(stage.name for stage in STAGES), ())

# Runs rewrite these; what they say is in the record itself.
_NOT_LEDGERS = tuple(f":(exclude){name}" for name in ("dvc.lock", "data.dvc", FOLDER))


def record_candidate(workspace: Workspace, *, by: str, parent: str | None) -> Release:
    """Store what the stages built last and write its record; the same artifacts, the same release.

    Args:
        workspace: where they were built.
        by: who or what makes the release.
        parent: the release that is served.

    Raises:
        ArtifactError: an artifact is missing, damaged, or does not fit another.
        ReleaseError: the collection is another alias's.
        VersioningError: DVC could not record a part.
    """
    artifacts = load_inputs(workspace, _ALL)
    sources = {name: (artifact.hash, artifact.folder) for name, artifact in artifacts.items()}
    raw = _raw_data(workspace, artifacts["validated_dataset"])
    raw_hash = raw if isinstance(raw, str) else folder_hash(raw)
    if isinstance(raw, Path):
        sources[DATA] = (raw_hash, raw)
    parts = {name: hash_ for name, (hash_, _) in sources.items()}
    put(workspace, sources)
    for known in read_releases(workspace).values():
        if parts_hash(known.parts) == parts_hash(parts):
            return known
    collection = artifacts["qdrant_collection"].meta.metrics
    if collection["alias"] != workspace.alias:
        raise ReleaseError(
            f"collection {collection['collection']} was built for {collection['alias']!r}, not for "
            f"{workspace.alias!r}: run `rabtriever run qdrant_collection` again"
        )
    number = max((release.number for release in every_release(workspace)), default=0) + 1
    settings = _settings(workspace, artifacts)
    commit, dirty = _git_state(workspace.root)
    benchmark = Results.read(artifacts["benchmark_report"].folder).benchmark
    release = Release(
        id=release_id(number, parts),
        number=number,
        parent=parent,
        alias=workspace.alias,
        dataset=benchmark["dataset"]["name"],
        fingerprint=benchmark["dataset"]["fingerprint"],
        data=raw_hash,
        parts=parts,
        collection=collection["collection"],
        count=collection["count"],
        dimension=collection["dimension"],
        settings=settings,
        settings_hash=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        commit=commit,
        dirty=dirty,
        metrics={
            split: {name: system["metrics"] for name, system in result["systems"].items()}
            for split, result in benchmark["splits"].items()
        },
        created=now(),
        created_by=by,
    )
    write_record(workspace, release)
    return release


def _raw_data(workspace: Workspace, validated: Artifact) -> Path | str:
    """The raw data's folder where DVC keeps it, else its hash.

    Feedback may have come since: it is recorded with them, and the next validation uses it.

    Raises:
        ReleaseError: they changed otherwise after they were validated.
    """
    if fingerprint(workspace, validated.meta.metrics) != validated.meta.dataset:
        raise ReleaseError(
            f"{workspace.dataset_folder} changed after it was validated: run the stages again, "
            "then release"
        )
    root = workspace.root / DATA
    if workspace.dataset_folder.resolve().is_relative_to(root):
        return root
    return folder_hash(workspace.dataset_folder)


def _settings(workspace: Workspace, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """All sections: as they are now, where no artifact was made with other values (`--set`)."""
    values = workspace.settings.model_dump(mode="json")
    for artifact in artifacts.values():
        for path, section in artifact.meta.config.items():
            *parents, name = path.split(".")
            target = values
            for parent in parents:
                target = target[parent]
            _lay_over(target, name, section)
    return values


def _lay_over(values: dict[str, Any], name: str, recorded: Any) -> None:
    """Put what an artifact was made with over today's values; it records no operating ones."""
    if isinstance(recorded, Mapping) and isinstance(values.get(name), dict):
        for key, value in recorded.items():
            _lay_over(values[name], key, value)
    else:
        values[name] = recorded


def _git_state(root: Path) -> tuple[str | None, bool]:
    """Git's HEAD, and whether tracked files other than the ledgers differ from it.

    (None, False) outside a repository.
    """
    git = shutil.which("git")
    if git is None:
        return None, False

    def ask(*arguments: str) -> str | None:
        finished = subprocess.run(  # noqa: S603 - git itself, fixed commands
            [git, *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        return finished.stdout.strip() if finished.returncode == 0 else None

    commit = ask("rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, False
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".", *_NOT_LEDGERS)
    return commit, bool(changed)
