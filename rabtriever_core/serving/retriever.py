"""The client of applications: rationale-based search in whatever release is served."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.errors import (
    ArtifactError,
    IndexMismatchError,
    IndexUnavailableError,
    RabtrieverError,
    ReleaseError,
    UnknownReleaseError,
)
from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.index.lookup import stored_documents
from rabtriever_core.index.hit import Hit
from rabtriever_core.releases.record import Release, read_release
from rabtriever_core.releases.serving import OpenRelease, open_release
from rabtriever_core.serving.answers import Answer, Embedded, Query, Rerank, Reranked
from rabtriever_core.serving.source import source_of
from rabtriever_core.workspace import Workspace, workspace_root

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.data.dataset import Document

logger = logging.getLogger(__name__)

# A promotion in the time of one answer is rare, several in a row are a fault.
_SWAPS = 5


@dataclass(frozen=True, eq=False)
class _Open:
    """A release that answers."""

    opened: OpenRelease
    client: "QdrantClient"
    turn: threading.Lock = field(default_factory=threading.Lock)
    """A tokenizer and local mode cannot be shared by threads."""
    teacher_turn: threading.Lock = field(default_factory=threading.Lock)
    """The teacher has a tokenizer of its own: others are answered while it reads."""


class Retriever:
    """Searches the served release, also after the next promotion. No answer mixes two releases.

    Threads can share one, processes cannot: open one in each, after a fork. It asks Qdrant every
    `refresh_seconds` at most which release is served. The query that notices another one loads its
    models, while other threads answer from the one before.

    Example:
        ```python
        with Retriever.open() as retriever:
            for hit in retriever.search("I snapped at my sister.", k=3):
                print(hit.document_id, hit.probability, hit.text)
        ```
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        refresh_seconds: float | None = None,
        lock_seconds: float = 5.0,
    ) -> None:
        """Make a retriever that opens its release with the first query; `open` does so at once.

        Args:
            workspace: the workspace whose releases are searched.
            refresh_seconds: how often to look for another release, `serving.refresh_seconds` by
                default. With infinity, only `refresh` looks.
            lock_seconds: how long to wait for another process in Qdrant's local mode.

        Raises:
            ConfigError: the server's URL is malformed.
        """
        self.workspace = workspace
        settings = workspace.settings.serving
        self._refresh_seconds = refresh_seconds or settings.refresh_seconds
        self._source = source_of(workspace, lock_seconds)
        self._swap = threading.Lock()
        self._open: _Open | None = None
        self._next_look = 0.0
        self._problem: RabtrieverError | None = None
        self._closed = False
        self._other: _Open | None = None
        self._other_turn = threading.Lock()
        self._process: int | None = None

    @classmethod
    def open(
        cls,
        workspace: Workspace | Path | str | None = None,
        *,
        refresh_seconds: float | None = None,
    ) -> "Retriever":
        """Find the served release and load its query tower.

        Args:
            workspace: the workspace's folder; by default the one that RABTRIEVER_WORKSPACE names,
                or the current folder. QDRANT_URL or the workspace's settings name the index;
                without either it is in local mode.
            refresh_seconds: how often to look for another release.

        Raises:
            ConfigError: there is no workspace, or a setting is invalid.
            IndexUnavailableError: Qdrant cannot be reached.
            IndexMismatchError: nothing is served, or the collection and the models do not match.
            ReleaseError: the release is missing on this machine, or incomplete.
        """
        if not isinstance(workspace, Workspace):
            workspace = Workspace.open(workspace_root(workspace))
        retriever = cls(workspace, refresh_seconds=refresh_seconds)
        try:
            retriever.refresh()
        except BaseException:
            retriever.close()
            raise
        return retriever

    def __enter__(self) -> "Retriever":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections and models. A closed retriever answers nothing."""
        self._closed = True
        self._open = self._other = None
        self._source.close()

    @property
    def release(self) -> Release:
        """The release that answers at the moment."""
        return self._current().opened.release

    @property
    def problem(self) -> str | None:
        """Why the last look for a served release failed. The release before may still answer."""
        return None if self._problem is None else str(self._problem)

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        filter: SearchFilter | None = None,
        min_probability: float | None = None,
        rerank: Rerank = False,
    ) -> Answer:
        """Find the k documents that answer a query best.

        Args:
            query: the text of the query.
            k: how many documents to return.
            filter: conditions on the documents' metadata, for example
                `{"lang": "de", "year": {"gte": 2020}}`.
            min_probability: a hit fits from this probability on, instead of the fitted threshold.
            rerank: let the teacher reorder the first documents; "auto" only if the student is
                unsure.

        Raises:
            ValueError: an argument is out of range.
            FilterError: the filter is not understood.
            IndexUnavailableError: Qdrant cannot be reached.
            IndexMismatchError: nothing is served, or the served collection is of no release.
            ReleaseError: the release is missing on this machine, or incomplete.
        """
        return self.answer([Query(query, k, filter, min_probability, rerank)])[0]

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 5,
        *,
        filter: SearchFilter | None = None,
        min_probability: float | None = None,
        rerank: Rerank = False,
    ) -> list[Answer]:
        """Search for several queries at once; one release answers all of them."""
        return self.answer([Query(text, k, filter, min_probability, rerank) for text in queries])

    async def asearch(self, query: str, k: int = 5, **options: Any) -> Answer:
        """`search` without blocking the event loop."""
        return await asyncio.to_thread(self.search, query, k, **options)

    async def asearch_batch(
        self, queries: Sequence[str], k: int = 5, **options: Any
    ) -> list[Answer]:
        """`search_batch` without blocking the event loop."""
        return await asyncio.to_thread(self.search_batch, queries, k, **options)

    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer queries with different options, encoded together. Raises the errors of `search`.

        Raises:
            IndexUnavailableError: also if releases change faster than queries are answered.
        """
        if not queries:
            return []
        for _ in range(_SWAPS):
            now = self._current()
            try:
                with now.turn, self._source.asking():
                    rankings = self._searched(now, queries)
            except IndexMismatchError:
                # Its collection may have been removed since: then another one is served.
                self._look(wait=True)
                if self._open is None or self._open is now:
                    raise
            else:
                ranked = zip(queries, rankings, strict=True)
                return [self._answer(now, query, hits) for query, hits in ranked]
        raise IndexUnavailableError(
            f"{self.workspace.alias!r} was given {_SWAPS} releases in a row while a query waited: "
            "see `rabtriever releases list` for what promotes them"
        )

    def answer_as(self, release_id: str, queries: Sequence[Query]) -> list[Answer]:
        """Answer from any release, to compare it with the served one.

        One such release at a time is kept open. In local mode its collection is copied into memory.

        Raises:
            UnknownReleaseError: there is no release of that id, or it was removed.
            IndexUnavailableError: as for `answer`.
        """
        with self._other_turn:
            now = self._opened_as(release_id)
            try:
                with now.turn, self._source.asking():
                    rankings = self._searched(now, queries)
            except IndexMismatchError as error:
                self._other = None
                raise UnknownReleaseError(f"release {release_id} is no longer here") from error
            ranked = zip(queries, rankings, strict=True)
            return [self._answer(now, query, hits) for query, hits in ranked]

    def embed(self, queries: Sequence[str]) -> Embedded:
        """Encode queries for your own Qdrant client. Raises the errors of `search`."""
        now = self._current()
        with now.turn:
            encoded = now.opened.tower.encode(queries)
        return Embedded(
            vectors=encoded.vectors.tolist(),
            scales=encoded.scales.tolist(),
            offsets=encoded.offsets.tolist(),
            release=now.opened.release,
        )

    def rerank(self, query: str, documents: "Sequence[Document | str]") -> Reranked:
        """Rank candidates with the teacher; equal ones are ordered by id.

        Args:
            query: the text of the query.
            documents: ids of documents in the collection, or any documents.

        Raises:
            UnknownDocumentError: an id is not in the collection.
            IndexUnavailableError: as for `search`; likewise IndexMismatchError and ReleaseError.
        """
        now = self._current()
        ids = [document for document in documents if isinstance(document, str)]
        stored = {}
        if ids:
            collection = now.opened.release.collection
            with now.turn, self._source.asking():
                found = stored_documents(now.client, collection, ids)
            stored = dict(zip(ids, found, strict=True))
        candidates = [stored[d] if isinstance(d, str) else d for d in documents]
        with now.teacher_turn:
            margins = now.opened.teacher_margins(query, candidates)
        order = sorted(zip(margins, candidates, strict=True), key=lambda p: (-p[0], p[1].id))
        results = [(document, margin) for margin, document in order]
        return Reranked(results, now.opened.release, now.opened.calibration)

    @contextmanager
    def held(self) -> "Iterator[tuple[OpenRelease, QdrantClient]]":
        """Give access to the open release and the client of its collection.

        Within the block no other query is answered and no other release is opened, so all you ask
        is answered by the same release. Raises the errors of `search`.
        """
        now = self._current()
        with now.turn, now.teacher_turn, self._source.asking():
            yield now.opened, now.client

    def refresh(self) -> Release:
        """Look for another release now and open it; waits if another thread does so already.

        Raises:
            IndexUnavailableError: as for `search`.
            IndexMismatchError: as for `search`.
            ReleaseError: as for `search`.
        """
        self._check_process()
        if not self._closed:
            self._look(wait=True)
        return self._current().opened.release

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

    def _current(self) -> _Open:
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

    def _opened_as(self, release_id: str) -> _Open:
        now = self._current()
        if now.opened.release.id == release_id:
            return now
        if self._other is not None and self._other.opened.release.id == release_id:
            return self._other
        release = read_release(self.workspace, release_id)
        if release is None:
            raise UnknownReleaseError(f"there is no release {release_id}")
        self._other = None  # before the next one takes its room
        client = self._source.holding(release)
        try:
            self._other = _Open(open_release(self.workspace, release), client)
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
            found = self._source.served()
            before = self._open
            if before is None or before.opened.release.id != found.release.id:
                self._open = _Open(open_release(self.workspace, found.release), found.client)
                logger.info("release %s answers for %r", found.release.id, self.workspace.alias)
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

    def _searched(self, now: _Open, queries: Sequence[Query]) -> list[list[Hit]]:
        depth = self.workspace.settings.serving.rerank_depth
        return now.opened.search(
            now.client,
            [query.text for query in queries],
            k=[max(query.k, depth) if query.rerank else query.k for query in queries],
            min_probability=[query.min_probability for query in queries],
            filters=[query.filter for query in queries],
        )

    def _answer(self, now: _Open, query: Query, hits: list[Hit]) -> Answer:
        rerank = query.rerank is True or (query.rerank == "auto" and self._unsure(hits))
        if rerank:
            with now.teacher_turn:
                hits = self._reranked(now.opened, query.text, hits)
        return Answer(hits[: query.k], now.opened.release, now.opened.calibration, rerank)

    def _unsure(self, hits: list[Hit]) -> bool:
        return bool(hits) and hits[0].probability < self.workspace.settings.serving.rerank_below

    def _reranked(self, opened: OpenRelease, text: str, hits: list[Hit]) -> list[Hit]:
        """The first documents by the teacher's margin, equal ones by id; the others after them."""
        depth = self.workspace.settings.serving.rerank_depth
        margins = opened.teacher_margins(text, [hit.document for hit in hits[:depth]])
        probabilities = opened.calibration.teacher_probabilities(margins).tolist()
        read = [
            replace(hit, teacher_margin=margin, teacher_probability=probability)
            for hit, margin, probability in zip(hits[:depth], margins, probabilities, strict=True)
        ]
        order = sorted(zip(margins, read, strict=True), key=lambda p: (-p[0], p[1].document_id))
        return [hit for _, hit in order] + hits[depth:]
