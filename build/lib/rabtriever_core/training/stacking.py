"""Weights of a teacher's parts (its start, the cosine, reading the pair), fitted on dev."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rabtriever_core.models.arrays import Reals, unit_rows
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.training.averaging import AveragedWithStart
from rabtriever_core.training.examples import Examples

CANDIDATES = 20
"""Documents per query: the nearest by cosine, as a reranker would be given."""
_LEAST, _MOST = 0.05, 20.0
"""Bounds of both factors, so that neither part is switched off."""


@dataclass(frozen=True)
class Weighed:
    """What cosine and reading count for."""

    cosine: float = 1.0
    reading: float = 1.0
    margins: dict[str, dict[str, float]] = field(default_factory=dict)
    """Query text → document id → margin with these factors, of the pairs that were read."""


def weigh_cosine_and_reading(teacher: GenerativeReranker, examples: Examples) -> Weighed:
    """Rescale the two parts of the margin so that together they fit the labels best (in place).

    Each part was trained to solve the task alone. Two factors, which minimize the list-wise
    cross-entropy on held-out queries, say how much each contributes to the sum (stacking). They
    are applied to `cosine_scale` and to w_T − w_F, so that the margin is still a T − F logit.

    Args:
        teacher: with a `cosine_scale` above zero.
        examples: queries that it was not trained on, and the corpus.

    Returns:
        The factors; both 1 if no query has a relevant document among its candidates.
    """
    cosines = _cosines(teacher, examples)
    nearest = _nearest(cosines, examples)
    parts, relevant = _parts(teacher, examples, cosines, nearest)
    says = _says_something(relevant)
    if not says.any():
        return Weighed()
    (cosine, reading), _ = best_weights([part[says] for part in parts], relevant[says])
    teacher.cosine_scale *= cosine
    teacher.backbone.scale_answers(reading)
    margins: dict[str, dict[str, float]] = {}
    weighed = cosine * parts[0] + reading * parts[1]
    for query, row, values in zip(examples.queries, nearest, weighed, strict=True):
        ids = (examples.documents[number].id for number in row)
        margins.setdefault(query, {}).update(zip(ids, values.tolist(), strict=True))
    return Weighed(cosine, reading, margins)


def choose_start_share(
    teacher: GenerativeReranker,
    averaged: AveragedWithStart,
    shares: Sequence[float],
    examples: Examples,
) -> tuple[float, dict[float, float]]:
    """Move the teacher's weights back towards its start, by the share that fits best (in place).

    Every share is judged with its own best factors of cosine and reading, which are not kept. All
    shares score the same documents: the nearest by the start's cosine, and the relevant ones.

    Args:
        teacher: with a `cosine_scale` above zero.
        averaged: its weights.
        shares: to choose from; among equals the first is taken.
        examples: queries that it was not trained on, and the corpus.

    Returns:
        (the share, share → list-wise cross-entropy).
    """
    averaged.move(1.0)
    cosines = _cosines(teacher, examples)
    for row, right in zip(cosines, examples.relevant, strict=True):
        row[list(right)] = np.inf
    candidates = _nearest(cosines, examples)
    asked = np.unique(candidates)
    few, candidates = examples.over(asked), np.searchsorted(asked, candidates)
    losses = {}
    for share in shares:
        averaged.move(share)
        parts, relevant = _parts(teacher, few, _cosines(teacher, few), candidates)
        says = _says_something(relevant)
        judged = [part[says] for part in parts], relevant[says]
        losses[share] = best_weights(*judged)[1] if says.any() else 0.0
    best = min(losses, key=losses.__getitem__)
    averaged.move(best)
    return best, losses


def _cosines(teacher: GenerativeReranker, examples: Examples) -> Reals:
    """Cosine of every query and document, each read alone: [queries, documents]."""
    e_q = unit_rows(query_states(teacher.encoder, examples.queries))
    e_d = unit_rows(document_states(teacher.encoder, examples.documents))
    cosines: Reals = e_q @ e_d.T
    return cosines


def _nearest(scores: Reals, examples: Examples) -> npt.NDArray[np.int64]:
    """The first documents of every query [queries, k], without those that rankings leave out."""
    scores, most = scores.copy(), 0
    for query, away in examples.left_out.items():
        scores[query, sorted(away)] = -np.inf
        most = max(most, len(away))
    kept = min(CANDIDATES, scores.shape[1] - most)
    return np.argsort(-scores, axis=1, kind="stable")[:, :kept]


def _parts(
    teacher: GenerativeReranker,
    examples: Examples,
    cosines: Reals,
    candidates: npt.NDArray[np.int64],
) -> tuple[list[Reals], npt.NDArray[np.bool_]]:
    """(both parts of the candidates' margins, their labels): [queries, k] each."""
    margins = teacher.candidate_margins(examples.queries, examples.documents, candidates, None)
    of_cosine = teacher.cosine_scale * np.take_along_axis(cosines, candidates, axis=1)
    relevant = np.array(
        [
            [d in right for d in row]
            for row, right in zip(candidates, examples.relevant, strict=True)
        ]
    )
    return [of_cosine, margins - of_cosine], relevant


def _says_something(relevant: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Queries [n] whose candidates are neither all relevant nor all irrelevant."""
    said: npt.NDArray[np.bool_] = np.logical_xor(relevant.any(axis=1), relevant.all(axis=1))
    return said


def best_weights(
    parts: Sequence[Reals], relevant: npt.NDArray[np.bool_]
) -> tuple[list[float], float]:
    """Weights of a score's parts that minimize its list-wise cross-entropy.

    With one relevant document in every row the problem is convex and has one minimum.

    Args:
        parts: each [n, k].
        relevant: boolean [n, k], with both kinds in every row.

    Returns:
        (a weight of every part, the cross-entropy with them).
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp, softmax

    stacked = np.stack([np.asarray(part, dtype=np.float64) for part in parts])

    def loss(weights: Reals) -> tuple[float, Reals]:
        scores = np.tensordot(weights, stacked, axes=1)
        among = np.where(relevant, scores, -np.inf)
        value = float(np.mean(logsumexp(scores, axis=1) - logsumexp(among, axis=1)))
        gap = softmax(scores, axis=1) - softmax(among, axis=1)
        return value, (stacked * gap).sum(axis=2).mean(axis=1)

    bounds = [(_LEAST, _MOST)] * len(parts)
    found = minimize(loss, np.ones(len(parts)), jac=True, bounds=bounds, method="L-BFGS-B")
    return [float(weight) for weight in found.x], float(found.fun)
