"""What start, cosine and reading each count for in a teacher, fitted on dev."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rabtriever_core.models.arrays import Reals, unit_rows
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import document_states, query_row_states
from rabtriever_core.training.averaging import AveragedWithStart
from rabtriever_core.training.examples import Examples

CANDIDATES = 20
"""Documents per query, the nearest by cosine: those that a reranker is asked about."""
_LEAST, _MOST = 0.05, 20.0
"""Of either weight as a multiple of what training left it at: no part is silenced for good."""


def weigh_cosine_and_reading(
    teacher: GenerativeReranker, examples: Examples
) -> tuple[float, float]:
    """Rescale both parts of the margin so that they explain the labels best (in place).

    Each part was trained to do the whole task alone. Two numbers that minimize the list-wise
    cross-entropy on queries held out say what either counts for beside the other (stacking); as
    factors of the cosine's scale and of w_T − w_F they leave the margin what it was, a T − F logit.

    Args:
        teacher: with a `cosine_scale` above zero.
        examples: queries that it was not trained on, and the corpus.

    Returns:
        Factors of (cosine, reading); one each where no query has a right document among its
        candidates.
    """
    cosines = _cosines(teacher, examples)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :CANDIDATES]
    parts, relevant = _parts(teacher, examples, cosines, nearest)
    if not len(relevant):
        return 1.0, 1.0
    (cosine, reading), _ = best_weights(parts, relevant)
    teacher.cosine_scale *= cosine
    teacher.backbone.scale_answers(reading)
    return cosine, reading


def choose_start_share(
    teacher: GenerativeReranker,
    averaged: AveragedWithStart,
    shares: Sequence[float],
    examples: Examples,
) -> tuple[float, dict[float, float]]:
    """Move the teacher to the share of its start that explains the labels best (in place).

    Each share is given its best weights of cosine and reading first, which are not kept. All are
    asked about the same documents: the start's nearest and the right ones.

    Args:
        teacher: with a `cosine_scale` above zero.
        averaged: its weights.
        shares: to choose from; of equals the first is taken.
        examples: queries that it was not trained on, and the corpus.

    Returns:
        (the share, share → list-wise cross-entropy).
    """
    averaged.move(1.0)
    cosines = _cosines(teacher, examples)
    for row, right in zip(cosines, examples.relevant, strict=True):
        row[list(right)] = np.inf
    candidates = np.argsort(-cosines, axis=1, kind="stable")[:, :CANDIDATES]
    asked = np.unique(candidates)
    few, candidates = examples.over(asked), np.searchsorted(asked, candidates)
    losses = {}
    for share in shares:
        averaged.move(share)
        parts, relevant = _parts(teacher, few, _cosines(teacher, few), candidates)
        losses[share] = best_weights(parts, relevant)[1] if len(relevant) else 0.0
    best = min(losses, key=losses.__getitem__)
    averaged.move(best)
    return best, losses


def _cosines(teacher: GenerativeReranker, examples: Examples) -> Reals:
    """Of all queries and documents read apart: [queries, documents]."""
    e_q = unit_rows(query_row_states(teacher.backbone, examples.query_ids))
    e_d = unit_rows(document_states(teacher.backbone, examples.documents))
    cosines: Reals = e_q @ e_d.T
    return cosines


def _parts(
    teacher: GenerativeReranker,
    examples: Examples,
    cosines: Reals,
    candidates: npt.NDArray[np.int64],
) -> tuple[list[Reals], npt.NDArray[np.bool_]]:
    """(cosine, reading) of the margins and the labels of candidates [queries, k].

    Queries whose candidates are all right or all wrong tell nothing and are left out.
    """
    query_ids = list(examples.query_ids)
    margins = teacher.candidate_margins(examples.document_ids, query_ids, candidates, None)
    of_cosine = teacher.cosine_scale * np.take_along_axis(cosines, candidates, axis=1)
    relevant = np.array(
        [
            [d in right for d in row]
            for row, right in zip(candidates, examples.relevant, strict=True)
        ]
    )
    usable = relevant.any(axis=1) & ~relevant.all(axis=1)
    return [of_cosine[usable], (margins - of_cosine)[usable]], relevant[usable]


def best_weights(
    parts: Sequence[Reals], relevant: npt.NDArray[np.bool_]
) -> tuple[list[float], float]:
    """Weights of parts of a score that minimize its list-wise cross-entropy.

    Where one document is right in every row this is convex: there is one minimum.

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
