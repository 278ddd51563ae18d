"""Promotion and rollback: everything is prepared, then one step of Qdrant, then the log.

Killed at any point, they have changed what is served or they have not; run again, they finish.
What the log lacks of one that was killed after its step is written by the next. Qdrant is open only
while it is needed, since in local mode readers wait for it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rabtriever_core.errors import ReleaseError
from rabtriever_core.index.aliases import switch_alias
from rabtriever_core.index.collection import RELEASE
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.candidate import record_candidate
from rabtriever_core.releases.gates import evaluate
from rabtriever_core.releases.log import (
    Action,
    append,
    last_served,
    now,
    read_log,
    retired,
    served_before,
)
from rabtriever_core.releases.preparation import mend_collection, prepare
from rabtriever_core.releases.record import (
    GateResult,
    Override,
    Release,
    find_release,
    read_releases,
    write_record,
)
from rabtriever_core.releases.retention import retire
from rabtriever_core.releases.served import Served, what_is_served
from rabtriever_core.releases.serving import OpenRelease, check_collection_of
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import stage_lock
from rabtriever_core.workspace.disk import says_when_full

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate."""

    release: Release
    decision: Literal["promoted", "refused", "served already"]

    @property
    def failed(self) -> list[GateResult]:
        """The gates it did not pass, overridden or not."""
        return [gate for gate in self.release.gates if not gate.passed]

    @property
    def reason(self) -> str:
        """What the failed gates say, in one line."""
        return "; ".join(f"{gate.name}: {gate.text}" for gate in self.failed)


def promote(
    workspace: Workspace, name: str | None = None, *, by: str, override: str | None = None
) -> Outcome:
    """Hold a release to the gates, and serve it where it passes.

    Args:
        workspace: whose release.
        name: a release; what the stages built last when not given.
        by: who or what promotes it.
        override: why it is served although a gate does not pass; kept in record and log.

    Raises:
        ArtifactError: the artifacts are missing or do not fit each other.
        ReleaseError: the release is unknown or incomplete, or something else moved the alias.
        IndexMismatchError: its collection does not hold what it should.
        IndexUnavailableError: Qdrant cannot be opened.
        StageBusyError: another process promotes.
    """
    with _promoting(workspace) as served:
        at_present = served.release if served else None
        if name is None:
            release = record_candidate(workspace, by=by, parent=at_present)
        else:
            release = _available(workspace, name)
        if served == Served(release.collection, release.id):
            return Outcome(release, "served already")
        opened = prepare(workspace, release)
        current = read_releases(workspace).get(at_present or "")
        unknown = at_present if current is None else None
        gates = evaluate(workspace, opened, current, unknown=unknown, asked_for=name is not None)
        release = release.model_copy(update={"gates": gates})
        outcome = Outcome(release, "promoted")
        if outcome.failed and override is not None:
            overridden = Override(by=by, reason=override, time=now())
            release = release.model_copy(update={"override": overridden})
            outcome = Outcome(release, "promoted")
        write_record(workspace, release)
        if outcome.failed and override is None:
            append(workspace, "refused", release.id, by, outcome.reason)
            retire(workspace, by)
            return Outcome(release, "refused")
        action: Action = "override" if outcome.failed else "promote"
        reason = f"{override} (not passed: {outcome.reason})" if outcome.failed else ""
        _switch(workspace, opened, served, action=action, by=by, reason=reason)
        retire(workspace, by)
        return outcome


def rollback(
    workspace: Workspace, name: str | None = None, *, by: str, reason: str = ""
) -> Release:
    """Serve an older release again, without gates; its collection is built again where it is gone.

    Nothing is done or logged where it is served already.

    Args:
        workspace: whose release.
        name: a release; the one served before the present one when not given.
        by: who goes back.
        reason: why.

    Raises:
        ReleaseError: the release is unknown, retired or incomplete, nothing was served before, or
            something else moved the alias.
        IndexMismatchError: its collection does not hold what it should.
        IndexUnavailableError: Qdrant cannot be opened.
        StageBusyError: another process promotes.
    """
    with _promoting(workspace) as served:
        present = served.release if served else None
        target = name or served_before(read_log(workspace), present)
        if target is None:
            raise ReleaseError(f"{workspace.alias!r} has served no release before {present}")
        release = _available(workspace, target)
        if served == Served(release.collection, release.id):
            logger.info(
                "release %s is served already, nothing was done; where it is damaged, `rabtriever "
                "releases restore` makes it whole",
                release.id,
            )
            return release
        return _bring_back(workspace, target, served, "rollback", by, reason)


def restore(workspace: Workspace, name: str | None = None, *, by: str) -> Release:
    """Serve what was served last, on a Qdrant or a machine that lost it or never had it.

    Where Qdrant still serves a release, that one is made whole.

    Args:
        workspace: whose release.
        name: a release; the one the log says is served when not given.
        by: who restores it.

    Raises:
        ReleaseError: as for `rollback`.
        IndexMismatchError: its collection does not hold what it should.
        IndexUnavailableError: Qdrant cannot be opened.
        StageBusyError: another process promotes.
    """
    with _promoting(workspace) as served:
        target = name or last_served(read_log(workspace))
        at_present = served.release if served else None
        if name is None and at_present and at_present not in read_releases(workspace):
            raise ReleaseError(
                f"{workspace.alias!r} serves release {at_present}, of which there is no record "
                "here: `git pull`, or name the release to serve instead"
            )
        if target is None:
            raise ReleaseError(
                f"no release was ever served as {workspace.alias!r} here: `rabtriever run all` "
                "builds and releases one"
            )
        return _bring_back(workspace, target, served, "restore", by, "")


def prune(workspace: Workspace, *, by: str) -> list[str]:
    """Retire what the policy no longer keeps; returns the ids.

    Raises:
        IndexUnavailableError: Qdrant cannot be opened.
        StageBusyError: another process promotes.
    """
    with _promoting(workspace):
        return retire(workspace, by)


def _bring_back(
    workspace: Workspace, name: str, served: Served | None, action: Action, by: str, reason: str
) -> Release:
    release = _available(workspace, name)
    opened = prepare(workspace, release)
    if action == "restore":
        mend_collection(workspace, opened)
    _switch(workspace, opened, served, action=action, by=by, reason=reason)
    retire(workspace, by)
    return release


@contextmanager
def _promoting(workspace: Workspace) -> Iterator[Served | None]:
    """Hold the lock of promotions; gives what is served, and has it in the log."""
    with says_when_full(workspace.root, "the promotion"), stage_lock(workspace.work, "release"):
        with connect(workspace.settings.index, workspace.qdrant) as client:
            served = what_is_served(client, workspace.alias)
        if (
            served is not None
            and served.release in read_releases(workspace)
            and served.release != last_served(read_log(workspace))
        ):
            append(
                workspace,
                "found",
                str(served.release),
                "unknown",
                "found served: its promotion was stopped before it was logged",
            )
        yield served


def _available(workspace: Workspace, name: str) -> Release:
    release = find_release(read_releases(workspace), name)
    if release.id in retired(read_log(workspace)):
        raise ReleaseError(
            f"release {release.id} was retired and its artifacts removed: set releases.keep or "
            "releases.keep_days higher to keep more; `git` and the DVC remote may still have it"
        )
    return release


def _switch(
    workspace: Workspace,
    opened: OpenRelease,
    expected: Served | None,
    *,
    action: Action,
    by: str,
    reason: str,
) -> None:
    """Serve a release that was prepared, in one step, and log it.

    Raises:
        ReleaseError: what was served is no longer `expected`.
        IndexMismatchError: the collection does not hold what it should.
    """
    release = opened.release
    with connect(workspace.settings.index, workspace.qdrant) as client:
        check_collection_of(client, opened)
        found = what_is_served(client, workspace.alias)
        if found != expected:
            raise ReleaseError(
                f"{workspace.alias!r} served {_named(expected)} when this began and serves "
                f"{_named(found)} now: something else promotes at the same time; nothing was "
                "changed, try again"
            )
        # Of a collection that is not served this changes nothing for readers; of one that already
        # is, under another release, it is the one step.
        client.update_collection(release.collection, metadata={RELEASE: release.id})
        if expected is None or expected.collection != release.collection:
            switch_alias(client, workspace.alias, release.collection)
    append(workspace, action, release.id, by, reason)
    logger.info("%s serves release %s (%s)", workspace.alias, release.id, release.collection)


def _named(served: Served | None) -> str:
    if served is None:
        return "nothing"
    return f"{served.release or 'no release'} ({served.collection})"
