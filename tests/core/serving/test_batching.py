"""Micro-batching: who waits together is answered together, in order; queues are bounded."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.errors import IndexUnavailableError
from rabtriever_core.serving.batching import Batcher, OverloadedError


class Machine:
    """Doubles numbers; fails on 13, is unavailable on 7, stops where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        """Answer a batch."""
        self.go.wait(10)
        self.batches.append(list(numbers))
        if 7 in numbers:
            raise IndexUnavailableError("away")
        if 13 in numbers:
            raise ArithmeticError("thirteen")
        return [2 * number for number in numbers]


def run(
    work: Callable[[Batcher[int, int]], Awaitable[Any]], machine: Machine, **limits: Any
) -> Any:
    async def main() -> Any:
        given = {"max_batch": 4, "max_waiting": 100, "timeout_seconds": 10} | limits
        batcher: Batcher[int, int] = Batcher(machine, **given)
        running = asyncio.create_task(batcher.run())
        try:
            return await work(batcher)
        finally:
            machine.go.set()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    return asyncio.run(main())


@settings(deadline=None, max_examples=40)
@given(
    requests=st.lists(st.lists(st.integers(20, 1000), min_size=1, max_size=7), max_size=20),
    max_batch=st.integers(1, 9),
)
def test_every_request_gets_its_own_answers(requests: list[list[int]], max_batch: int) -> None:
    machine = Machine()

    async def work(batcher: Batcher[int, int]) -> Any:
        return await asyncio.gather(*(batcher.submit(request) for request in requests))

    answers = run(work, machine, max_batch=max_batch, max_waiting=1000)
    assert answers == [[2 * n for n in request] for request in requests]
    assert sorted(n for b in machine.batches for n in b) == sorted(n for r in requests for n in r)
    longest = max((len(request) for request in requests), default=0)
    assert all(len(batch) <= max(max_batch, longest) for batch in machine.batches)


def test_what_waits_is_answered_in_one_batch() -> None:
    machine = Machine()
    machine.go.clear()

    async def work(batcher: Batcher[int, int]) -> None:
        first = asyncio.create_task(batcher.submit([20]))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.submit([n])) for n in range(21, 27)]
        await asyncio.sleep(0.05)
        machine.go.set()
        await asyncio.gather(first, *others)

    run(work, machine)
    assert machine.batches == [[20], [21, 22, 23, 24], [25, 26]]


def test_too_many_are_refused_and_nothing_is_lost() -> None:
    machine = Machine()
    machine.go.clear()

    async def work(batcher: Batcher[int, int]) -> Any:
        waiting = [asyncio.create_task(batcher.submit([n])) for n in (20, 21, 22)]
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError):
            await batcher.submit([23])
        machine.go.set()
        found = await asyncio.gather(*waiting)
        assert batcher.waiting == 0
        return [*found, await batcher.submit([24])]

    assert run(work, machine, max_waiting=3) == [[40], [42], [44], [48]]


def test_a_request_larger_than_the_queue_is_answered_when_nobody_waits() -> None:
    assert run(lambda b: b.submit([20, 21, 22]), Machine(), max_waiting=2) == [40, 42, 44]


def test_who_waits_too_long_is_given_up_and_not_computed() -> None:
    machine = Machine()
    machine.go.clear()

    async def work(batcher: Batcher[int, int]) -> Any:
        first = asyncio.create_task(batcher.submit([20]))
        second = asyncio.create_task(batcher.submit([21]))
        for task in (first, second):
            with pytest.raises(TimeoutError):
                await task
        machine.go.set()
        return await batcher.submit([22])

    assert run(work, machine, timeout_seconds=0.1, max_batch=1) == [44]
    assert machine.batches == [[20], [22]]


def test_one_bad_query_does_not_spoil_the_batch() -> None:
    machine = Machine()
    machine.go.clear()

    async def work(batcher: Batcher[int, int]) -> Any:
        tasks = [asyncio.create_task(batcher.submit([n])) for n in (20, 13, 21)]
        await asyncio.sleep(0.05)
        machine.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, bad, last = run(work, machine)
    assert (first, last) == ([40], [42])
    assert isinstance(bad, ArithmeticError)


def test_what_is_away_is_away_for_all_and_is_asked_once() -> None:
    machine = Machine()
    machine.go.clear()

    async def work(batcher: Batcher[int, int]) -> Any:
        first = asyncio.create_task(batcher.submit([20]))
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(batcher.submit([n])) for n in (7, 21)]
        await asyncio.sleep(0.05)
        machine.go.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(error) for error in run(work, machine)] == [IndexUnavailableError] * 2
    assert machine.batches == [[20], [7, 21]]
