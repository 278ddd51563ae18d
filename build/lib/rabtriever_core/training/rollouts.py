"""Roll-outs of the student's policy: candidates it returned, with the teacher's states for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rabtriever_core.models.apart import Apart
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


def draw_candidates(
    scores: npt.NDArray[np.float32],
    count: int,
    temperature: float,
    uniform_share: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw documents without replacement: softmax(scores / temperature), plus a uniform share.

    Args:
        scores: the policy's scores [n, m]; -inf where a document is drawn only if no other is left.
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
    lottery[np.isneginf(scores)] = -0.5
    np.put_along_axis(lottery, drawn, -1.0, axis=1)
    extra = np.argsort(-lottery, axis=1, kind="stable")[:, :uniform]
    return np.concatenate([drawn, extra], axis=1)


def read_by_teacher(
    teacher: GenerativeReranker,
    examples: Examples,
    query_ids: Sequence[list[int]],
    documents: npt.NDArray[np.int64],
    apart: Apart,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Let the teacher read every drawn pair: (e_T [n, k, d], margins [n, k]).

    `apart` holds the n queries and the corpus as its encoder reads them.
    """
    states = np.zeros((*documents.shape, teacher.backbone.dimension), dtype=np.float32)
    margins = np.zeros(documents.shape, dtype=np.float32)
    for rows, columns, e_t, scores in teacher.candidate_states(
        examples.document_ids, query_ids, documents, "teacher scores roll-outs", apart
    ):
        states[rows, columns] = e_t.cpu().numpy()
        margins[rows, columns] = scores.cpu().numpy()
    return states, margins
