"""Queries answered by whichever release is served: its models stay open until another one is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rabtriever_core.errors import IndexUnavailableError
from rabtriever_core.index.connection import connect
from rabtriever_core.index.search import Hit
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.serving import OpenRelease, open_release, served_release
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

# A promotion in the time it takes to open a release is rare, several in a row are a fault.
_SWAPS = 5


class QueryService:
    """Thread-safe; answers one query at a time, since a tokenizer cannot be shared by threads.

    Qdrant is open only during an answer: in local mode other processes get their turn between two.
    """

    def __init__(self, workspace: Workspace, *, turn_seconds: float = 30.0) -> None:
        """Opens nothing yet.

        Args:
            workspace: whose Qdrant and releases.
            turn_seconds: how long a query waits for those before it.
        """
        self.workspace = workspace
        self._turn_seconds = turn_seconds
        self._turn = threading.Lock()
        self._opened: OpenRelease | None = None

    def search(
        self, text: str, k: int, min_probability: float | None = None
    ) -> tuple[Release, list[Hit]]:
        """The k documents that answer a query best, and the release that says so.

        Args:
            text: the query.
            k: documents.
            min_probability: of a hit that fits, instead of the calibration's threshold.

        Raises:
            IndexUnavailableError: Qdrant cannot be opened, or too many queries wait.
            IndexMismatchError: nothing is served, or nothing that was released.
            ReleaseError: the release is not here, or not complete.
        """
        with self._in_turn():
            for _ in range(_SWAPS):
                with self._connected() as (client, release):
                    opened = self._opened
                    if opened is not None and opened.release.id == release.id:
                        (hits,) = opened.search(client, [text], k, min_probability)
                        return release, hits
                # With Qdrant closed: opening models takes seconds.
                self._opened = open_release(self.workspace, release)
        raise IndexUnavailableError(
            f"{self.workspace.alias!r} was given {_SWAPS} releases in a row while a query waited: "
            "see `rabtriever releases list` for what promotes them"
        )

    def release(self) -> Release:
        """The release that is served, without its models.

        Raises:
            IndexUnavailableError: Qdrant cannot be opened.
            IndexMismatchError: nothing is served, or nothing that was released.
            ReleaseError: there is no record of it here.
        """
        with self._connected() as (_, release):
            return release

    def ready(self) -> Release:
        """Make sure that a query would be answered now; opens the models where they are not.

        Raises:
            IndexUnavailableError: as for `search`.
            IndexMismatchError: as for `search`.
            ReleaseError: as for `search`.
        """
        with self._in_turn():
            release = self.release()
            if self._opened is None or self._opened.release.id != release.id:
                self._opened = open_release(self.workspace, release)
            return release

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._turn_seconds):
            raise IndexUnavailableError(
                f"a query has waited {self._turn_seconds:g} s for those before it: ask again later"
            )
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _connected(self) -> "Iterator[tuple[QdrantClient, Release]]":
        workspace = self.workspace
        with connect(workspace.settings.index, workspace.qdrant) as client:
            yield client, served_release(client, workspace)
