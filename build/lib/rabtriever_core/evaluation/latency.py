"""How long an answer takes: one query at a time, and as documents grow."""

import time
from collections.abc import Callable, Sequence

import numpy as np

Answer = Callable[[str], object]


def milliseconds_per_query(
    answer: Answer, queries: Sequence[str], warmup: int = 3
) -> dict[str, float]:
    """Time answers one at a time: median, p95 and mean in milliseconds.

    Args:
        answer: text in, ranking out.
        queries: timed once each.
        warmup: untimed answers before (caches, lazy initialization).

    Raises:
        ValueError: there are no queries.
    """
    if not queries:
        raise ValueError("no queries to time")
    for i in range(warmup):
        answer(queries[i % len(queries)])
    times = []
    for query in queries:
        started = time.perf_counter()
        answer(query)
        times.append((time.perf_counter() - started) * 1000)
    return {
        "median": float(np.median(times)),
        "p95": float(np.percentile(times, 95)),
        "mean": float(np.mean(times)),
    }


def response_time_curve(
    teacher: Callable[[int], Answer],
    student: Callable[[int], Answer],
    lengths: Sequence[int],
    queries: Sequence[str],
) -> list[dict[str, float]]:
    """Median response time against document length: rows of tokens, teacher_ms, student_ms.

    Args:
        teacher: length in tokens → what ranks a pool of such documents for a query. Preparing the
            pool (embedding it, say) is offline work and is not timed.
        student: the same for the student.
        lengths: of the documents.
        queries: timed once each per length.
    """
    return [
        {
            "tokens": length,
            "teacher_ms": milliseconds_per_query(teacher(length), queries)["median"],
            "student_ms": milliseconds_per_query(student(length), queries)["median"],
        }
        for length in lengths
    ]
