"""Where a reader finds the served release: on a Qdrant server, or copied from local mode."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rabtriever_core.errors import IndexUnavailableError, UnknownReleaseError
from rabtriever_core.index.connection import connect, open_server
from rabtriever_core.index.memory import in_memory
from rabtriever_core.index.retry import patience
from rabtriever_core.index.server_errors import server_errors
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_release
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

# A reader's caller waits: the first failure may be a restart, the second is an answer.
_ATTEMPTS = 2
# So long nobody asks a server again that did not answer.
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Found:
    """A release that is served, and where its collection can be searched."""

    release: Release
    client: "QdrantClient"


class Source(ABC):
    """Where the served release is looked up."""

    @abstractmethod
    def served(self) -> Found:
        """What is served now.

        Raises:
            IndexUnavailableError: Qdrant cannot be reached, or its folder is in use.
            IndexMismatchError: nothing is served, or nothing that was released.
            ReleaseError: there is no record of it here.
        """

    @abstractmethod
    def holding(self, release: Release) -> "QdrantClient":
        """Where the collection of a release that need not be served can be searched.

        Raises:
            UnknownReleaseError: it was removed.
            IndexUnavailableError: as `served`.
        """

    @abstractmethod
    def asking(self) -> AbstractContextManager[None]:
        """Within, a client that was found is asked; its failures become this project's errors."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""


class ServerSource(Source):
    """A server: one client for all threads, and a short memory that it was away."""

    def __init__(self, workspace: Workspace, url: str) -> None:
        self._workspace = workspace
        self._url = url
        self._client = open_server(workspace.settings.index, url)
        self._away_until = 0.0
        self._said = ""

    def served(self) -> Found:
        """What the alias leads to."""
        with self.asking():
            return Found(served_release(self._client, self._workspace), self._client)

    def holding(self, release: Release) -> "QdrantClient":
        """The server, where it has the collection."""
        with self.asking():
            if not self._client.collection_exists(release.collection):
                raise _removed(release)
        return self._client

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Fails at once where the server was away a moment ago: others wait behind this one."""
        if time.monotonic() < self._away_until:
            raise IndexUnavailableError(self._said)
        try:
            with patience(_ATTEMPTS), server_errors(self._url):
                yield
        except IndexUnavailableError as error:
            self._away_until, self._said = time.monotonic() + _PAUSE_SECONDS, str(error)
            raise

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class LocalSource(Source):
    """Local mode, which lets one process in at a time: the collection is copied, the folder left.

    Local mode writes its aliases and collections into one file, replaced as a whole: while that
    file is the same one, so is what is served, and nothing has to be opened.
    """

    def __init__(self, workspace: Workspace, lock_seconds: float) -> None:
        self._workspace = workspace
        self._lock_seconds = lock_seconds
        self._seen: tuple[int, int] | None = None
        self._found: Found | None = None

    def served(self) -> Found:
        """What the alias leads to; opens the folder only where something in it was moved."""
        now = self._state()
        if self._found is not None and now is not None and now == self._seen:
            return self._found
        workspace = self._workspace
        with connect(
            workspace.settings.index, workspace.qdrant, lock_seconds=self._lock_seconds
        ) as client:
            release = served_release(client, workspace)
            if self._found is None or self._found.release.id != release.id:
                self._found = Found(release, in_memory(client, release.collection))
            # As it was before opening: a change since then is seen the next time.
            self._seen = now
        return self._found

    def holding(self, release: Release) -> "QdrantClient":
        """A copy in memory."""
        workspace = self._workspace
        with connect(
            workspace.settings.index, workspace.qdrant, lock_seconds=self._lock_seconds
        ) as client:
            if not client.collection_exists(release.collection):
                raise _removed(release)
            return in_memory(client, release.collection)

    def _state(self) -> tuple[int, int] | None:
        try:
            status = (self._workspace.qdrant / "meta.json").stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def asking(self) -> AbstractContextManager[None]:
        """Memory does not fail."""
        return nullcontext()

    def close(self) -> None:
        """Forget the copy."""
        self._found = None


def _removed(release: Release) -> UnknownReleaseError:
    return UnknownReleaseError(
        f"the collection of release {release.id} was removed (releases.keep says how many stay)"
    )


def source_of(workspace: Workspace, lock_seconds: float = 5.0) -> Source:
    """The source that a workspace's settings (or QDRANT_URL) name.

    Args:
        workspace: whose index.
        lock_seconds: how long to wait for another process to leave local mode's folder.

    Raises:
        ConfigError: the server's URL is malformed.
    """
    url = workspace.settings.index.url
    return ServerSource(workspace, url) if url else LocalSource(workspace, lock_seconds)
