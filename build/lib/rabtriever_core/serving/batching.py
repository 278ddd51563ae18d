"""Micro-batching: queries that wait at the same time are encoded together."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from rabtriever_core.errors import RabtrieverError

Asked = TypeVar("Asked")
Said = TypeVar("Said")

logger = logging.getLogger(__name__)


class OverloadedError(RabtrieverError):
    """More queries wait than may, or one waited longer than it may."""


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[Asked, Said]):
    """Queries of one request, which one release answers."""

    queries: Sequence[Asked]
    answers: "asyncio.Future[list[Said]]"


class Batcher(Generic[Asked, Said]):
    """One batch is answered in a thread of its own while the next one gathers.

    Nobody waits for a batch to fill up: a query that comes alone is answered alone.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], list[Said]],
        *,
        max_batch: int,
        max_waiting: int,
        timeout_seconds: float,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Starts with `run`.

        Args:
            answer: what answers a batch; called by one thread at a time.
            max_batch: queries of a batch; a request with more is a batch of its own.
            max_waiting: queries that may wait.
            timeout_seconds: how long one may.
            on_batch: told the size of every batch.
        """
        self._answer = answer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._timeout = timeout_seconds
        self._on_batch = on_batch
        self._queue: asyncio.Queue[_Waiting[Asked, Said]] = asyncio.Queue()
        self.waiting = 0
        """Queries that are neither answered nor given up."""

    async def submit(self, queries: Sequence[Asked]) -> list[Said]:
        """Wait for the answers of one request.

        Raises:
            OverloadedError: too many wait already.
            TimeoutError: it took too long.
        """
        if self.waiting and self.waiting + len(queries) > self._max_waiting:
            raise OverloadedError(f"{self.waiting} queries wait already")
        future = asyncio.get_running_loop().create_future()
        self.waiting += len(queries)
        try:
            self._queue.put_nowait(_Waiting(queries, future))
            return await asyncio.wait_for(future, self._timeout)
        finally:
            self.waiting -= len(queries)

    async def run(self) -> None:
        """Answer batch after batch until cancelled."""
        with ThreadPoolExecutor(1, thread_name_prefix="answer") as thread:
            left: _Waiting[Asked, Said] | None = None
            while True:
                batch = [left or await self._queue.get()]
                left = self._gather(batch)
                # Given up while they waited: an answer would come too late.
                batch = [each for each in batch if not each.answers.done()]
                if batch:
                    await self._answer_batch(thread, batch)

    def _gather(self, batch: list[_Waiting[Asked, Said]]) -> _Waiting[Asked, Said] | None:
        """Add what waits, as far as it fits; returns the first that did not."""
        size = len(batch[0].queries)
        while not self._queue.empty():
            following = self._queue.get_nowait()
            if following.answers.done():
                continue
            if size + len(following.queries) > self._max_batch:
                return following
            size += len(following.queries)
            batch.append(following)
        return None

    async def _answer_batch(
        self, thread: ThreadPoolExecutor, batch: list[_Waiting[Asked, Said]]
    ) -> None:
        queries = [query for waiting in batch for query in waiting.queries]
        self._on_batch(len(queries))
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(thread, self._answer, queries)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, RabtrieverError):
                # One of them is the cause; the others shall not pay for it.
                logger.exception("a batch of %d failed: each is answered alone", len(queries))
                for waiting in batch:
                    await self._answer_batch(thread, [waiting])
                return
            for waiting in batch:
                if not waiting.answers.done():
                    waiting.answers.set_exception(error)
            return
        start = 0
        for waiting in batch:
            end = start + len(waiting.queries)
            if not waiting.answers.done():
                waiting.answers.set_result(answers[start:end])
            start = end
