"""Where a release comes from: every part back to the raw rows, from the records in the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rabtriever_core.releases.record import DATA, Release
from rabtriever_core.releases.store import part_folder
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import META, ArtifactMeta


@dataclass(frozen=True)
class Link:
    """One part of a release."""

    part: str
    hash: str
    parents: tuple[str, ...]
    """What it was made from, by name; all of them are parts of the same release."""
    rows: str
    """How much it holds, where that is counted."""


def lineage(workspace: Workspace, release: Release) -> list[Link]:
    """The parts of a release from the last made to the raw data.

    Only records are read, no bytes are checked: `rabtriever_core.releases.store.check` does that. A
    part whose record is not on this machine has its hash all the same, from the release.
    """
    # A release made by another version may have parts of stages that are no more: they come first.
    order = {stage.name: place for place, stage in enumerate(reversed(STAGES))}
    links = []
    for part in sorted(set(release.parts) - {DATA}, key=lambda part: (order.get(part, -1), part)):
        meta = _meta(workspace, release.parts[part])
        if meta is None:
            links.append(Link(part, release.parts[part], (), "its record is not on this machine"))
            continue
        # A backbone of somebody else's names the model that it was read from, which is no part.
        parents = tuple(name for name in meta.parents if name in release.parts) or (DATA,)
        links.append(Link(part, release.parts[part], parents, _rows(part, meta.metrics)))
    return [*links, Link(DATA, release.data, (), _raw_rows(workspace, release))]


def _meta(workspace: Workspace, hash_: str) -> ArtifactMeta | None:
    try:
        text = (part_folder(workspace, hash_) / META).read_text(encoding="utf-8")
        return ArtifactMeta.model_validate_json(text)
    except (OSError, ValueError):
        return None


def _rows(part: str, metrics: Mapping[str, Any]) -> str:
    if part == "validated_dataset":
        queries = sum(metrics.get("queries", {}).values())
        lost = sum(metrics.get("quarantined", {}).values())
        return f"{metrics.get('documents', '?')} documents, {queries} queries, {lost} rows left out"
    counted = {name: metrics[name] for name in ("documents", "count") if name in metrics}
    return ", ".join(f"{value} documents" for value in counted.values())


def _raw_rows(workspace: Workspace, release: Release) -> str:
    meta = _meta(workspace, release.parts.get("validated_dataset", ""))
    rows = {} if meta is None else meta.metrics.get("rows", {})
    return ", ".join(f"{file} {count} rows" for file, count in rows.items())
