"""The client of applications: rationale-based search in whatever release is served."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import (
    ArtifactError,
    IndexMismatchError,
    IndexUnavailableError,
    UnknownReleaseError,
)
from rabtriever_core.index.hit import Hit
from rabtriever_core.releases.record import Release, read_release
from rabtriever_core.serving.answers import Answer, Embedded, Query, Reranked
from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.remote import RemoteRetriever

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.models.probability import Calibration
    from rabtriever_core.releases.serving import OpenRelease
    from rabtriever_core.serving.following import Answering
    from rabtriever_core.workspace import Workspace

# A promotion in the time of one answer is rare, several in a row are a fault.
_SWAPS = 5


class Retriever(AnyRetriever):
    """Searches the served release, also after the next promotion. No answer mixes two releases.

    Threads can share one, processes cannot: open one in each, after a fork. It asks Qdrant every
    `refresh_seconds` at most which release is served. The query that notices another one loads its
    models, while other threads answer from the one before.

    Example:
        ```python
        with Retriever.open() as retriever:  # or Retriever.connect("http://localhost:8000")
            for hit in retriever.search("I snapped at my sister.", k=3):
                print(hit.document_id, hit.probability, hit.text)
        ```
    """

    def __init__(
        self,
        workspace: "Workspace",
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
        from rabtriever_core.serving.following import Following

        self.workspace = workspace
        every = refresh_seconds or workspace.settings.serving.refresh_seconds
        self._following = Following(workspace, every, lock_seconds)

    @classmethod
    def open(
        cls,
        workspace: "Workspace | Path | str | None" = None,
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
        from rabtriever_core.workspace import Workspace, workspace_root

        if not isinstance(workspace, Workspace):
            workspace = Workspace.open(workspace_root(workspace))
        retriever = cls(workspace, refresh_seconds=refresh_seconds)
        try:
            retriever.refresh()
        except BaseException:
            retriever.close()
            raise
        return retriever

    @classmethod
    def connect(
        cls, url: str, api_key: str | None = None, *, timeout_seconds: float = 60.0
    ) -> RemoteRetriever:
        """Ask a query service (`rabtriever serve`) over HTTP, with the answers that `open` gives.

        It takes neither models nor a workspace here: `pip install rabtriever` is enough.

        Args:
            url: of the service, with the path under which a proxy shows it.
            api_key: made by `rabtriever keys create`; RABTRIEVER_API_KEY by default.
            timeout_seconds: how long to wait for an answer, retries included.

        Raises:
            ConfigError: the address is malformed, or the service does not take the key.
            IndexUnavailableError: the service cannot be reached, or has no release to answer from.
        """
        retriever = RemoteRetriever(url, api_key, timeout_seconds=timeout_seconds)
        try:
            retriever.refresh()
        except BaseException:
            retriever.close()
            raise
        return retriever

    def close(self) -> None:
        """Release connections and models. A closed retriever answers nothing."""
        self._following.close()

    @property
    def release(self) -> Release:
        """The release that answers at the moment."""
        return self._following.current().opened.release

    @property
    def problem(self) -> str | None:
        """Why the last look for a served release failed. The release before may still answer."""
        return self._following.problem

    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer queries with different options, encoded together. Raises the errors of `search`.

        Raises:
            IndexUnavailableError: also if releases change faster than queries are answered.
        """
        if not queries:
            return []
        for _ in range(_SWAPS):
            now = self._following.current()
            try:
                return self._answered(now, queries)
            except IndexMismatchError:
                # Its collection may have been removed since: then another one is served.
                if self._following.look() in (None, now):
                    raise
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
        with self._following.other(release_id) as now:
            return self._answered(now, queries)

    def embed(self, queries: Sequence[str]) -> Embedded:
        """Encode queries for your own Qdrant client. Raises the errors of `search`."""
        now = self._following.current()
        with now.turn:
            encoded = now.opened.encoder.encode(queries)
        return Embedded(
            vectors=encoded.vectors.tolist(),
            scales=encoded.scales.tolist(),
            offsets=encoded.offsets.tolist(),
            release=now.opened.release,
        )

    def rerank(self, query: str, documents: Sequence[Document | str]) -> Reranked:
        """Rank candidates with the teacher; equal ones are ordered by id.

        Args:
            query: the text of the query.
            documents: ids of documents in the collection, or any documents.

        Raises:
            UnknownDocumentError: an id is not in the collection.
            IndexUnavailableError: as for `search`; likewise IndexMismatchError and ReleaseError.
        """
        from rabtriever_core.index.lookup import stored_documents

        now = self._following.current()
        ids = [document for document in documents if isinstance(document, str)]
        stored = {}
        if ids:
            collection = now.opened.release.collection
            with now.turn, self._following.source.asking():
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
        now = self._following.current()
        with now.turn, now.teacher_turn, self._following.source.asking():
            yield now.opened, now.client

    def refresh(self) -> Release:
        """Look for another release now and open it; waits if another thread does so already.

        Raises:
            IndexUnavailableError: as for `search`.
            IndexMismatchError: as for `search`.
            ReleaseError: as for `search`.
        """
        return self._following.refresh().opened.release

    def described(self, release_id: str) -> "tuple[Release, Calibration]":
        """Record and calibration of a release that answers, or did so a moment ago.

        Raises:
            UnknownReleaseError: there is no release of that id, or it was removed.
        """
        now = self._following.current().opened
        if now.release.id == release_id:
            return now.release, now.calibration
        from rabtriever_core.models.probability import Calibration
        from rabtriever_core.releases.store import part_folder

        record = read_release(self.workspace, release_id)
        if record is None:
            raise UnknownReleaseError(f"there is no release {release_id}")
        try:
            folder = part_folder(self.workspace, record.parts["calibration"])
            return record, Calibration.load(folder)
        except ArtifactError as error:
            raise UnknownReleaseError(f"release {release_id} is no longer here") from error

    def _answered(self, now: "Answering", queries: Sequence[Query]) -> list[Answer]:
        depth = self.workspace.settings.serving.rerank_depth
        with now.turn, self._following.source.asking():
            rankings = now.opened.search(
                now.client,
                [query.text for query in queries],
                k=[max(query.k, depth) if query.rerank else query.k for query in queries],
                min_probability=[query.min_probability for query in queries],
                filters=[query.filter for query in queries],
            )
        ranked = zip(queries, rankings, strict=True)
        return [self._answer(now, query, hits) for query, hits in ranked]

    def _answer(self, now: "Answering", query: Query, hits: list[Hit]) -> Answer:
        rerank = query.rerank is True or (query.rerank == "auto" and self._unsure(hits))
        if rerank:
            with now.teacher_turn:
                hits = self._reranked(now.opened, query.text, hits)
        return Answer(hits[: query.k], now.opened.release, now.opened.calibration, rerank)

    def _unsure(self, hits: list[Hit]) -> bool:
        return bool(hits) and hits[0].probability < self.workspace.settings.serving.rerank_below

    def _reranked(self, opened: "OpenRelease", text: str, hits: list[Hit]) -> list[Hit]:
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
