"""Which releases can still be brought back, and what is removed with those that cannot."""

import json
import logging
from collections.abc import Sequence
from datetime import timedelta

from rabtriever_core.index.aliases import alias_target, prune
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.log import (
    Event,
    append,
    every_event,
    last_served,
    now,
    read_log,
    retired,
    served_before,
)
from rabtriever_core.releases.record import every_release, read_releases
from rabtriever_core.releases.store import sweep
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)


def to_retire(workspace: Workspace) -> list[str]:
    """Releases beyond the policy, oldest first; never the served one nor the one before it.

    Newer and older are told by number. The clock alone retires nothing: `keep` releases stay
    whatever it says, and `keep_days` only keeps more.
    """
    policy, events = workspace.settings.releases, read_log(workspace)
    gone = retired(events)
    left = [release for id_, release in read_releases(workspace).items() if id_ not in gone]
    beyond = [r for r in left[: -policy.keep] if r.id not in _served_and_before(events)]
    if policy.keep_days is None:
        return [release.id for release in beyond]
    oldest = now() - timedelta(days=policy.keep_days)
    return [release.id for release in beyond if release.created < oldest]


def retire(workspace: Workspace, by: str) -> list[str]:
    """Retire what the policy no longer keeps, and remove parts and collections nobody needs.

    Killed in the middle it is finished by the next call: the log says first what is retired.

    Returns:
        The releases retired now.

    Raises:
        IndexUnavailableError: Qdrant cannot be opened.
        VersioningError: DVC failed.
    """
    beyond = to_retire(workspace)
    for id_ in beyond:
        append(workspace, "retired", id_, by)
    gone = retired(every_event(workspace))
    kept = [release for release in every_release(workspace) if release.id not in gone]
    removed = sweep(workspace, {hash_ for release in kept for hash_ in release.parts.values()})
    dropped = _prune_collections(workspace, {release.collection for release in kept})
    if beyond or removed or dropped:
        logger.info(
            "retired %s; removed %d parts and the collections %s",
            ", ".join(beyond) or "none",
            len(removed),
            ", ".join(dropped) or "none",
        )
    return beyond


def _prune_collections(workspace: Workspace, kept: set[str]) -> list[str]:
    """Drop retired releases' collections, and those beyond `index.keep_collections`."""
    releases, events = read_releases(workspace), read_log(workspace)
    protected = {_candidate(workspace)}
    protected |= {releases[id_].collection for id_ in _served_and_before(events) & {*releases}}
    retired_ones = {release.collection for release in releases.values()} - kept - protected
    with connect(workspace.settings.index, workspace.qdrant) as client:
        target = alias_target(client, workspace.alias)
        dropped = [
            name
            for name in sorted(retired_ones - {target})
            if client.collection_exists(name) and client.delete_collection(name)
        ]
        limit = workspace.settings.index.keep_collections
        return dropped + prune(client, workspace.alias, limit, protected)


def _served_and_before(events: Sequence[Event]) -> set[str]:
    """The served release and the one a rollback leads to."""
    served = last_served(events)
    return {id_ for id_ in (served, served_before(events, served)) if id_}


def _candidate(workspace: Workspace) -> str:
    """The collection built last; "" where there is none."""
    path = workspace.artifact("qdrant_collection") / "collection.json"
    return str(json.loads(path.read_text("utf-8"))["collection"]) if path.is_file() else ""
