"""The validated data against those of the served release, or those validated before."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.data.change_suite import check_changes
from rabtriever_core.data.change_verdict import Previous, Verdict, read_verdict, write_verdict
from rabtriever_core.data.changes import compare
from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.data.profile import FILE as PROFILE
from rabtriever_core.data.profile import Profile, is_comparable
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.releases.documents import release_documents
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import logged_release
from rabtriever_core.releases.serving import open_release
from rabtriever_core.releases.store import fetch, is_whole, part_folder
from rabtriever_core.report.change_plot import plot_changes
from rabtriever_core.report.findings import write_changes_page
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact

logger = logging.getLogger(__name__)

PLOT = "changes.png"
PAGE = "changes.html"
_LAST, _HASH = "last", "hash"
_SCORED = 500
"""Queries of each version that the served student is asked."""


def compare_versions(workspace: Workspace) -> Verdict:
    """Compare the validated data with the version before; stages refuse what breaks a bound.

    Compared once per pair of versions and bounds. Writes figures, plot and a page to
    `Workspace.data_changes`.

    Raises:
        ArtifactError: the data were not validated, or an artifact is damaged.
        ReleaseError: parts of the served release are missing.
    """
    artifact = load_artifact(workspace.artifact("validated_dataset"))
    settings = workspace.settings
    train, bounds = settings.dataset.train_split, settings.validation.changes
    plain: dict[str, Any] = bounds.model_dump(mode="json")
    served = logged_release(workspace)
    previous, folder = _previous(workspace, served, artifact.hash)
    known = read_verdict(workspace)
    if known is not None and known.current == artifact.hash:
        same = (known.previous, known.bounds) == (previous, plain)
        if previous is None or same:
            return known
    if not artifact.meta.metrics["passed"]:
        # Nothing runs on them anyway, and nothing later is compared with them.
        return Verdict(current=artifact.hash, previous=None, bounds=plain)
    found = Verdict(current=artifact.hash, previous=previous, bounds=plain)
    if previous is not None and folder is not None and previous.hash != artifact.hash:
        dataset = read_dataset(artifact.folder, settings.dataset.name)
        changes = compare(
            Profile.load(folder, train), Profile.load(artifact.folder, train), dataset, train
        )
        scores = score_drift(workspace, served, dataset) if served else None
        drift = scores["drift"] if scores else None
        results = check_changes(changes, drift, dataset, train, bounds)
        plot = workspace.data_changes / PLOT
        plot_changes(changes, drift, bounds, plot)
        write_changes_page(
            f"{settings.dataset.name} against {previous.release or 'the version before'}",
            [result.record() for result in results],
            plot,
            workspace.data_changes / PAGE,
        )
        found = found.model_copy(
            update={
                "changes": changes.record(),
                "scores": scores,
                "broken": tuple(_line(r.rule.name, r.examples) for r in results if r.stops),
                "warnings": tuple(_line(r.rule.name, r.examples) for r in results if r.warns),
            }
        )
    write_verdict(workspace, found)
    for line in (*found.broken, *found.warnings):
        logger.warning("against the version before: %s", line)
    if not found.broken:
        _remember(workspace, artifact.folder, artifact.hash)
    return found


def score_drift(workspace: Workspace, served: Release, dataset: Dataset) -> dict[str, float]:
    """How the served student's best margins differ between queries of its data and of these.

    Returns:
        drift: the Kolmogorov-Smirnov statistic; before and now: mean best margin.

    Raises:
        ReleaseError: parts of the release are missing and cannot be brought back.
    """
    from scipy.stats import ks_2samp

    fetch(workspace, served)
    opened = open_release(workspace, served)
    before, stored = release_documents(workspace, served)
    student = opened.tower.student

    def best(version: Dataset) -> np.ndarray:
        texts = [version.queries[q] for q in spread(sorted(version.queries), _SCORED)]
        phi, offsets = student.encode_queries_with_offsets(texts)
        margins = [(phi @ part.T).max(axis=1) for _, part in stored.vector_shards(student)]
        found: np.ndarray = np.max(margins, axis=0) + offsets
        return found

    then, now = best(before), best(dataset)
    return {
        "drift": round(float(ks_2samp(then, now).statistic), 6),
        "before": round(float(then.mean()), 4),
        "now": round(float(now.mean()), 4),
    }


def _previous(
    workspace: Workspace, served: Release | None, current: str
) -> tuple[Previous | None, Path | None]:
    """What to compare with, and the folder with its profile."""
    if served is not None:
        hash_ = served.parts["validated_dataset"]
        if not is_whole(workspace, hash_):
            fetch(workspace, served)
        return Previous(release=served.id, hash=hash_), part_folder(workspace, hash_)
    last = workspace.data_changes / _LAST
    if not (last / _HASH).is_file():
        return None, None
    hash_ = (last / _HASH).read_text(encoding="utf-8").strip()
    # Of a profile in an earlier form there are no data left to take it from anew.
    return (
        (None, None)
        if hash_ == current or not is_comparable(last)
        else (Previous(release=None, hash=hash_), last)
    )


def _remember(workspace: Workspace, folder: Path, hash_: str) -> None:
    """Keep the profile of the version validated last: its artifact is replaced by the next."""
    last = workspace.data_changes / _LAST
    scratch = last.with_name(f"{_LAST}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    if (folder / PROFILE).is_file():
        shutil.copy2(folder / PROFILE, scratch / PROFILE)
    else:
        return
    (scratch / _HASH).write_text(f"{hash_}\n", encoding="utf-8")
    shutil.rmtree(last, ignore_errors=True)
    scratch.rename(last)


def _line(rule: str, examples: tuple[str, ...]) -> str:
    return f"{rule} ({'; '.join(examples)})"
