"""What one process of the query service answers with: client, queues, keys, figures."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import RabtrieverError
from rabtriever_core.serving.answers import Answer, Embedded, Query, Reranked
from rabtriever_core.serving.batching import Batcher
from rabtriever_core.serving.examples import examples
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.serving.metrics import Metrics
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.serving.side_by_side import LexicalSearch
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Service:
    """Queries go through bounded queues: student's in batches, the teacher's one by one."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.settings = workspace.settings.serving
        self.metrics = Metrics()
        self.keys = ApiKeys(workspace)
        # Another release is opened by `follow`, so that no query waits for it.
        self.retriever = Retriever(workspace, refresh_seconds=math.inf)
        self.lexical = LexicalSearch(self.retriever)
        limits: dict[str, Any] = {
            "max_waiting": self.settings.max_waiting,
            "timeout_seconds": self.settings.timeout_seconds,
        }
        self._examples: tuple[str, list[str]] | None = None
        self._searches: Batcher[Query, Answer] = Batcher(
            self.retriever.answer,
            max_batch=self.settings.max_batch,
            on_batch=self.metrics.batches.observe,
            **limits,
        )
        self._jobs = {
            name: Batcher[Callable[[], Any], Any](_done, max_batch=1, **limits)
            for name in ("teacher", "embed", "feedback", "compare")
        }
        self.metrics.waiting.set_function(lambda: sum(lane.waiting for lane in self._lanes))

    @property
    def _lanes(self) -> "list[Batcher[Any, Any]]":
        return [self._searches, *self._jobs.values()]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open what is served, and follow it; queries are answered within."""
        await self._look()
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        tasks.append(asyncio.create_task(self._follow()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.retriever.close()

    async def search(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer the queries of one request, all from one release.

        Raises:
            OverloadedError: too many queries wait.
            TimeoutError: these waited too long.
            RabtrieverError: as `Retriever.search`.
        """
        if any(query.rerank for query in queries):
            answers = await self.job("teacher", lambda: self.retriever.answer(queries))
        else:
            answers = await self._searches.submit(queries)
        self.metrics.reranked.inc(sum(answer.reranked for answer in answers))
        self.metrics.unfit.inc(sum(bool(a.hits) and a.hits[0].fits is False for a in answers))
        return answers

    async def rerank(self, query: str, candidates: Sequence[Document | str]) -> Reranked:
        """Rank candidates with the teacher; raises as `search`, and UnknownDocumentError."""
        return await self.job("teacher", lambda: self.retriever.rerank(query, candidates))

    async def embed(self, queries: Sequence[str]) -> Embedded:
        """Encode queries; raises as `search`."""
        return await self.job("embed", lambda: self.retriever.embed(queries))

    async def examples(self) -> list[str]:
        """Queries to try, found once for every release; raises as `search`."""
        release = self.retriever.release.id
        if self._examples is None or self._examples[0] != release:
            found = await self.job("compare", lambda: examples(self.retriever))
            self._examples = release, found
        return self._examples[1]

    async def job(self, lane: str, work: Callable[[], Result]) -> Result:
        """Do something in a lane's own thread, in its turn; raises as `search`."""
        result: Result = (await self._jobs[lane].submit([work]))[0]
        return result

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.settings.refresh_seconds)
            await self._look()

    async def _look(self) -> None:
        before = self.retriever.problem
        try:
            release = await asyncio.to_thread(self.retriever.refresh)
            self.metrics.release.set(release.number)
        except RabtrieverError as error:
            self.metrics.release.set(0)
            if str(error) != before:
                logger.warning("no release answers: %s", error)
        except Exception:
            # The next look may go better; without this one it would be the last.
            logger.exception("looking for the served release failed")
        self.metrics.stale.set(self.retriever.problem is not None)


def _done(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    return [job() for job in jobs]
