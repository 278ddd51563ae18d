"""Timing: what is called, how often, and what counts."""

import time
from collections.abc import Callable

import pytest

from rabtriever_core.evaluation.latency import milliseconds_per_query, response_time_curve


def test_answers_one_at_a_time_after_a_warm_up() -> None:
    asked: list[str] = []
    result = milliseconds_per_query(asked.append, ["a", "b"], warmup=3)
    assert asked == ["a", "b", "a", "a", "b"]
    assert 0 <= result["median"] <= result["p95"]


def test_measures_milliseconds() -> None:
    result = milliseconds_per_query(lambda _: time.sleep(0.004), ["q"] * 5, warmup=0)
    assert 4 <= result["median"] < 40


def test_no_queries_is_an_error() -> None:
    with pytest.raises(ValueError, match="no queries"):
        milliseconds_per_query(str, [])


def test_preparing_a_pool_is_not_timed() -> None:
    def prepare(seconds: float) -> Callable[[int], Callable[[str], object]]:
        def pool(_: int) -> Callable[[str], object]:
            time.sleep(0.02)
            return lambda _: time.sleep(seconds)

        return pool

    rows = response_time_curve(prepare(0.004), prepare(0.0), [16, 32], ["q", "r"])
    assert [row["tokens"] for row in rows] == [16, 32]
    assert all(row["student_ms"] < row["teacher_ms"] < 20 for row in rows)
