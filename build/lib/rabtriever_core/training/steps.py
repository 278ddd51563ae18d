"""What a training step draws: a pure function of seed and step number, so that runs can resume."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from rabtriever_core.config import ScheduleConfig
from rabtriever_core.training.examples import Examples

# Streams of random numbers, one per trained part; the second number shifts the order of queries.
_STREAMS = {"backbone": (2, 0), "teacher": (3, 1), "bi_encoder": (5, 2), "contrast": (9, 3)}


Part = Literal["backbone", "teacher", "bi_encoder", "contrast"]


def start_step(
    part: Part,
    examples: Examples,
    schedule: ScheduleConfig,
    seed: int,
    step: int,
    number: int | None = None,
) -> tuple[np.random.Generator, list[int]]:
    """(the step's random stream, the numbers of its queries).

    There are `number` of them, or as many as the schedule says.
    """
    stream, shift = _STREAMS[part]
    number = schedule.queries_per_step if number is None else number
    queries = queries_of_step(len(examples.queries), number, step, seed + shift)
    return step_generator(seed, stream, step), queries.tolist()


def queries_met(
    part: Part,
    examples: Examples,
    schedule: ScheduleConfig,
    seed: int,
    steps: range,
    number: int | None = None,
) -> npt.NDArray[np.int64]:
    """Distinct queries that `start_step` returns in these steps, sorted."""
    met = [start_step(part, examples, schedule, seed, step, number)[1] for step in steps]
    return np.unique(np.concatenate(met)).astype(np.int64)


def step_generator(seed: int, *key: int) -> np.random.Generator:
    """The random stream of one step: independent of every other step's."""
    return np.random.default_rng([seed, *key])


def queries_of_step(queries: int, per_step: int, step: int, seed: int) -> npt.NDArray[np.int64]:
    """Query numbers of a step: consecutive slices of one fresh permutation per epoch."""
    positions = np.arange(step * per_step, (step + 1) * per_step)
    epochs = positions // queries
    picked = [
        step_generator(seed, 1, int(epoch)).permutation(queries)[
            positions[epochs == epoch] % queries
        ]
        for epoch in np.unique(epochs)
    ]
    return np.concatenate(picked)
