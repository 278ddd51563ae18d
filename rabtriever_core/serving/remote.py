"""A client of the query service: HTTP alone, without models and without a workspace."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import FilterError, IndexUnavailableError
from rabtriever_core.releases.record import Release
from rabtriever_core.serving.answers import Answer, Embedded, Query, Reranked
from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.requests import Asked, Requests

if TYPE_CHECKING:
    from rabtriever_core.models.probability import Calibration
    from rabtriever_core.serving.messages import BatchAnswer

Result = TypeVar("Result")
Steps = Generator[Asked, Any, Result]
"""Yields requests and is sent their answers: one text for threads and for event loops."""

# A promotion between two requests is rare, several in a row are a fault.
_SWAPS = 5


class RemoteRetriever(AnyRetriever):
    """Asks a query service; `Retriever.connect` makes one.

    Threads, event loops and processes can share one. A service that is overloaded or restarts is
    asked again, as its Retry-After says, until the time for an answer is over.

    A release is told without its settings and without the names of people, which the service keeps
    to itself.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout_seconds: float = 60.0,
        attempts: int = 5,
    ) -> None:
        """Make a client that asks nothing yet; `Retriever.connect` has the parameters."""
        self._requests = Requests(url, api_key, timeout_seconds, attempts)
        self._known: dict[str, tuple[Release, Calibration]] = {}

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._requests.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close connections; those of an event loop end with it, or by `aclose`."""
        self._requests.close()

    async def aclose(self) -> None:
        """Close connections, those of this event loop too."""
        await self._requests.aclose()

    @property
    def release(self) -> Release:
        """The release that answers at the moment; asks the service."""
        return self.refresh()

    def refresh(self) -> Release:
        """Ask which release answers. Raises the errors of `search`."""
        return self._run(self._current())

    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer queries with different options. Raises the errors of `search`."""
        return self._run(self._answers(queries))

    async def aanswer(self, queries: Sequence[Query]) -> list[Answer]:
        """`answer` without blocking the event loop."""
        steps = self._answers(queries)
        try:
            asked = next(steps)
            while True:
                asked = steps.send(await self._requests.aask(asked))
        except StopIteration as done:
            answers: list[Answer] = done.value
            return answers

    def embed(self, queries: Sequence[str]) -> Embedded:
        """Encode queries for your own Qdrant client. Raises the errors of `search`."""
        return self._run(self._embedded(queries))

    def rerank(self, query: str, documents: Sequence[Document | str]) -> Reranked:
        """Rank candidates with the teacher; equal ones are ordered by id.

        Args:
            query: the text of the query.
            documents: ids of documents in the collection, or any documents with ids of their own.

        Raises:
            UnknownDocumentError: an id is not in the collection.
            ValueError: ids and documents are mixed, or two documents have one id.
            IndexUnavailableError: as for `search`.
        """
        return self._run(self._reranked(query, documents))

    def _run(self, steps: Steps[Result]) -> Result:
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self._requests.ask(asked))
        except StopIteration as done:
            result: Result = done.value
            return result

    def _current(self) -> Steps[Release]:
        from rabtriever_core.serving.messages import ReleaseAnswer

        current: ReleaseAnswer = yield Asked("/v1/release", ReleaseAnswer)
        release, _ = yield from self._described(current.id)
        return release

    def _described(self, release_id: str) -> "Steps[tuple[Release, Calibration]]":
        """Record and calibration of a release, asked for once."""
        from rabtriever_core.serving.messages import ReleaseDetails

        if release_id not in self._known:
            told: ReleaseDetails = yield Asked(f"/v1/releases/{release_id}", ReleaseDetails)
            self._known[release_id] = told.record, told.calibration
        return self._known[release_id]

    def _answers(self, queries: Sequence[Query]) -> Steps[list[Answer]]:
        if not queries:
            return []
        for _ in range(_SWAPS):
            parts: list[BatchAnswer] = []
            for asked in _searches(queries):
                parts.append((yield asked))
            if len({part.release for part in parts}) == 1:
                release, calibration = yield from self._described(parts[0].release)
                return [
                    Answer(answer.hits, release, calibration, answer.reranked)
                    for part in parts
                    for answer in part.answers
                ]
        raise IndexUnavailableError(
            f"the service {self.url} changed its release {_SWAPS} times while queries waited: see "
            "`rabtriever releases list` there for what promotes them"
        )

    def _embedded(self, queries: Sequence[str]) -> Steps[Embedded]:
        from rabtriever_core.serving.messages import EmbedAnswer

        told: EmbedAnswer = yield Asked("/v1/embed", EmbedAnswer, {"queries": list(queries)})
        release, _ = yield from self._described(told.release)
        return Embedded(told.vectors, told.scales, told.offsets, release)

    def _reranked(self, query: str, documents: Sequence[Document | str]) -> Steps[Reranked]:
        from rabtriever_core.serving.messages import RerankAnswer

        given = {each.id: each for each in documents if isinstance(each, Document)}
        ids = [each for each in documents if isinstance(each, str)]
        if given and len(given) != len(documents):
            raise ValueError(
                "a query service ranks ids, or documents of which each has an id of its own"
            )
        candidates: dict[str, Any] = {"document_ids": ids}
        if given:
            candidates = {
                "documents": [
                    {"id": each.id, "title": each.title, "text": each.text}
                    for each in given.values()
                ]
            }
        told: RerankAnswer = yield Asked("/v1/rerank", RerankAnswer, {"query": query, **candidates})
        release, calibration = yield from self._described(told.release)
        results = [
            (
                given.get(judged.document_id)
                or Document(judged.document_id, judged.text or "", judged.title or ""),
                judged.margin,
            )
            for judged in told.results
        ]
        return Reranked(results, release, calibration)


def _searches(queries: Sequence[Query]) -> Iterator[Asked]:
    """Requests of as many queries as one may hold, all with the same options."""
    from rabtriever_core.serving.messages import MAX_QUERIES, BatchAnswer

    for options, same in groupby(queries, _options):
        texts = [query.text for query in same]
        for start in range(0, len(texts), MAX_QUERIES):
            asked = {"queries": texts[start : start + MAX_QUERIES], **options}
            yield Asked("/v1/search/batch", BatchAnswer, asked)


def _options(query: Query) -> dict[str, Any]:
    if query.filter is not None and not isinstance(query.filter, Mapping):
        raise FilterError(
            "a filter in Qdrant's own terms cannot be sent to a query service: say it as "
            'conditions, like {"lang": "de"}, which may be joined by $and, $or and $not'
        )
    return {
        "k": query.k,
        "filter": None if query.filter is None else dict(query.filter),
        "min_probability": query.min_probability,
        "rerank": query.rerank,
    }
