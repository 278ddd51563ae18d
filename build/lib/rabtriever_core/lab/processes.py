"""Tasks side by side in processes of their own, which share the cores."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr
from pathlib import Path
from typing import TypeVar

from rabtriever_core.workspace.provenance import cores

T = TypeVar("T")


def side_by_side(tasks: Sequence[Callable[[], T]], jobs: int) -> Iterator[tuple[int, T]]:
    """(number, result) of every task, as they end.

    Args:
        tasks: what can be pickled and called.
        jobs: how many go on at a time, each in a process.
    """
    jobs = min(jobs, len(tasks))
    # A forked process could not use an accelerator, nor torch's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _share_cores, (jobs,)) as pool:
        futures = {pool.submit(task): number for number, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            # After a fault of the code, or Ctrl-C, what has not begun never does.
            pool.shutdown(wait=False, cancel_futures=True)


def quietly(task: Callable[[], T], log: Path) -> T:
    """The task's result, its progress bars and warnings at the end of a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stderr(file):
        return task()


def _share_cores(jobs: int) -> None:
    """Before torch is loaded: processes with a thread per core each wait for one another."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
