"""Roll-outs of the student's policy: candidates it returned, with the teacher's states for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rabtriever_core.errors import ModelError
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.steps import queries_of_step

_NO_TOKEN = -1


@dataclass(frozen=True)
class RollOuts:
    """One round: n thinned training queries, k candidates each."""

    queries: npt.NDArray[np.int64]
    """Query numbers [n]."""
    tokens: npt.NDArray[np.int64]
    """Token ids of the thinned queries [n, longest], filled up with -1."""
    e_q: npt.NDArray[np.float32]
    """Their states before training [n, d]."""
    documents: npt.NDArray[np.int64]
    """Document numbers [n, k]."""
    teacher_states: npt.NDArray[np.float32]
    """e_T of every pair [n, k, d]."""
    teacher_margins: npt.NDArray[np.float32]
    """The teacher's margin of every pair [n, k]."""
    positions: npt.NDArray[np.int64]
    """Other tokens of the queries that are regressed on [n, q], filled up with -1; q is 0 where the
    answer position alone is."""
    position_states: npt.NDArray[np.float16]
    """The teacher's states there [n, q, k, d]: half precision, for they are most of what is
    stored."""

    def token_rows(self) -> list[list[int]]:
        """Token ids of every query."""
        return [row[row != _NO_TOKEN].tolist() for row in self.tokens]


def padded(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Token ids as one array, filled up with -1."""
    array = np.full((len(rows), max(map(len, rows))), _NO_TOKEN, dtype=np.int64)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array


def rows_of_step(rounds: Sequence[RollOuts], size: int, step: int, seed: int) -> RollOuts:
    """The rows of all rounds so far that a step trains on."""
    sizes = [len(r.documents) for r in rounds]
    picked = queries_of_step(sum(sizes), size, step, seed + len(rounds))
    bounds = np.cumsum([0, *sizes])
    longest = max(r.tokens.shape[1] for r in rounds)
    parts: list[dict[str, npt.NDArray[np.generic]]] = []
    for number, rollouts in enumerate(rounds):
        inside = (picked >= bounds[number]) & (picked < bounds[number + 1])
        rows = picked[inside] - bounds[number]
        part = {name: values[rows] for name, values in vars(rollouts).items()}
        missing = longest - rollouts.tokens.shape[1]
        part["tokens"] = np.pad(part["tokens"], ((0, 0), (0, missing)), constant_values=_NO_TOKEN)
        parts.append(part)
    return RollOuts(**{name: np.concatenate([p[name] for p in parts]) for name in parts[0]})


def draw_positions(
    rows: Sequence[Sequence[int]], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Tokens before the last one of every row [n, count], in order; -1 where there are no more."""
    positions = np.full((len(rows), count), _NO_TOKEN, dtype=np.int64)
    for row, drawn in zip(rows, positions, strict=True):
        chosen = np.sort(rng.permutation(len(row) - 1)[:count])
        drawn[: len(chosen)] = chosen
    return positions


def draw_candidates(
    scores: npt.NDArray[np.float32],
    count: int,
    temperature: float,
    uniform_share: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw documents without replacement: softmax(scores / temperature), plus a uniform share.

    Args:
        scores: the policy's scores [n, m].
        count: candidates per query (at most m).
        temperature: of the policy.
        uniform_share: share of the candidates drawn uniformly from the rest.
        rng: random stream.

    Returns:
        Document numbers [n, count].
    """
    n, m = scores.shape
    count = min(count, m)
    uniform = round(uniform_share * count)
    # Gumbel top-k: the largest perturbed logits are a sample without replacement.
    noisy = scores / temperature + rng.gumbel(size=(n, m))
    drawn = np.argsort(-noisy, axis=1, kind="stable")[:, : count - uniform]
    lottery = rng.random((n, m))
    np.put_along_axis(lottery, drawn, -1.0, axis=1)
    extra = np.argsort(-lottery, axis=1, kind="stable")[:, :uniform]
    return np.concatenate([drawn, extra], axis=1)


def read_by_teacher(
    teacher: GenerativeReranker,
    examples: Examples,
    query_ids: Sequence[list[int]],
    documents: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    """Let the teacher read every drawn pair: (e_T [n, k, d], margins [n, k], others [n, q, k, d]).

    Raises:
        ModelError: a state is too large for half precision.
    """
    width, others = teacher.backbone.dimension, positions.shape[1]
    states = np.zeros((*documents.shape, width), dtype=np.float32)
    margins = np.zeros(documents.shape, dtype=np.float32)
    elsewhere = np.zeros((len(documents), others, documents.shape[1], width), dtype=np.float16)
    for rows, columns, read, scores in teacher.candidate_states(
        examples.document_ids,
        query_ids,
        documents,
        "teacher scores roll-outs",
        positions=positions if others else None,
    ):
        e_t = read.cpu().numpy()
        states[rows, columns] = e_t[:, 0] if others else e_t
        margins[rows, columns] = scores.cpu().numpy()
        if others:
            largest = float(np.abs(e_t).max())
            if largest > float(np.finfo(np.float16).max):
                raise ModelError(
                    f"the teacher's states reach {largest:.3g}, too large for the half precision "
                    "that roll-outs keep them in: set student.predicts to `answer`"
                )
            elsewhere[rows, :, columns] = e_t[:, 1:]
    return states, margins, elsewhere
