"""Which release answers in this process: the served one, also after the next promotion."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rabtriever_core.errors import (
    ArtifactError,
    IndexMismatchError,
    IndexUnavailableError,
    RabtrieverError,
    ReleaseError,
    UnknownReleaseError,
)
from rabtriever_core.releases.record import read_release
from rabtriever_core.releases.serving import OpenRelease, open_release
from rabtriever_core.serving.source import source_of
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Answering:
    """A release that answers."""

    opened: OpenRelease
    client: "QdrantClient"
    turn: threading.Lock = field(default_factory=threading.Lock)
    """A tokenizer and local mode cannot be shared by threads."""
    teacher_turn: threading.Lock = field(default_factory=threading.Lock)
    """The teacher has a tokenizer of its own: others are answered while it reads."""


class Following:
    """Opens what is served, and the next release when it is promoted; for the threads of a process.

    It looks every `refresh_seconds` at most. Whoever notices another release loads its models,
    while other threads answer from the one before.
    """

    def __init__(self, workspace: Workspace, refresh_seconds: float, lock_seconds: float) -> None:
        """Opens nothing yet.

        Raises:
            ConfigError: the server's URL is malformed.
        """
        self._workspace = workspace
        self._refresh_seconds = refresh_seconds
        self.source = source_of(workspace, lock_seconds)
        self._swap = threading.Lock()
        self._open: Answering | None = None
        self._next_look = 0.0
        self._problem: RabtrieverError | None = None
        self._closed = False
        self._other: Answering | None = None
        self._other_turn = threading.Lock()
        self._process: int | None = None

    def close(self) -> None:
        """Release connections and models."""
        self._closed = True
        self._open = self._other = None
        self.source.close()

    @property
    def problem(self) -> str | None:
        """Why the last look for a served release failed. The release before may still answer."""
        return None if self._problem is None else str(self._problem)

    def refresh(self) -> Answering:
        """Look for another release now and open it; waits if another thread does so already.

        Raises:
            IndexUnavailableError: as `current`; likewise IndexMismatchError and ReleaseError.
        """
        self._check_process()
        if not self._closed:
            self.look()
        return self.current()

    def look(self) -> "Answering | None":
        """Look now, and say what is open then."""
        self._look(wait=True)
        return self._open

    def current(self) -> Answering:
        """What answers at the moment; looks for it where that is due.

        Raises:
            IndexUnavailableError: this is closed, or of another process; or Qdrant cannot be
                reached.
            IndexMismatchError: nothing is served, or the collection and the models do not match.
            ReleaseError: the release is missing on this machine, or incomplete.
        """
        self._check_process()
        if self._closed:
            raise IndexUnavailableError("this retriever is closed: open another one")
        if time.monotonic() >= self._next_look:
            self._look(wait=self._open is None)
        now = self._open
        if now is None:
            # The last look, perhaps another thread's, found nothing. A new error for everyone: one
            # that is raised again and again collects all their traces.
            problem = self._problem or IndexUnavailableError("no release has been opened")
            raise type(problem)(str(problem))
        return now

    @contextmanager
    def other(self, release_id: str) -> Iterator[Answering]:
        """Any release, to answer from within the block; one besides the served is kept open.

        Raises:
            UnknownReleaseError: there is no release of that id, or it was removed.
            IndexUnavailableError: as `current`.
        """
        with self._other_turn:
            now = self._opened_as(release_id)
            try:
                yield now
            except IndexMismatchError as error:
                self._other = None
                raise UnknownReleaseError(f"release {release_id} is no longer here") from error

    def _check_process(self) -> None:
        """Refuse a retriever that was asked before its process was forked.

        Torch's threads and other threads' locks do not survive a fork: a query would hang for ever.

        Raises:
            IndexUnavailableError: it belongs to the process before the fork.
        """
        self._process = self._process or os.getpid()
        if self._process != os.getpid():
            raise IndexUnavailableError(
                f"this retriever was opened in another process ({self._process}), which was forked "
                f"since: open one in each process, after the fork (here: {os.getpid()})"
            )

    def _opened_as(self, release_id: str) -> Answering:
        now = self.current()
        if now.opened.release.id == release_id:
            return now
        if self._other is not None and self._other.opened.release.id == release_id:
            return self._other
        release = read_release(self._workspace, release_id)
        if release is None:
            raise UnknownReleaseError(f"there is no release {release_id}")
        self._other = None  # before the next one takes its room
        client = self.source.holding(release)
        try:
            self._other = Answering(open_release(self._workspace, release), client)
        except (ArtifactError, IndexMismatchError, ReleaseError) as error:
            logger.warning("release %s cannot be opened: %s", release_id, error)
            raise UnknownReleaseError(
                f"release {release_id} is no longer complete on this machine"
            ) from error
        return self._other

    def _look(self, *, wait: bool) -> None:
        """Open what is served, if that is another release; one thread does, for all."""
        if not self._swap.acquire(blocking=wait):
            return
        said = self.problem
        try:
            found = self.source.served()
            before = self._open
            if before is None or before.opened.release.id != found.release.id:
                self._open = Answering(open_release(self._workspace, found.release), found.client)
                logger.info("release %s answers for %r", found.release.id, self._workspace.alias)
            self._problem = None
        except IndexMismatchError as error:
            self._open, self._problem = None, error
            raise
        except (IndexUnavailableError, ReleaseError) as error:
            self._problem = error
            if self._open is None:
                raise
            # What was served still answers, whole; whoever watches reads the log.
            if str(error) != said:
                logger.warning("still answering from %s: %s", self._open.opened.release.id, error)
        finally:
            self._next_look = time.monotonic() + self._refresh_seconds
            self._swap.release()
