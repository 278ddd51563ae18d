"""Whether an index ranks as the model does."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Ranking = Sequence[tuple[str, float]]
"""(document id, score), best first."""

Item = TypeVar("Item")

TIE_TOLERANCE = 1e-5
"""Margins this close, relative to the query's largest absolute margin, are one and the same.

A float32 product of d terms is off by about sqrt(d) · 6e-8 · |q| · |v|, or 2e-6 · |q| · |v| at
d = 1024, and by the order of summation alone. The largest margin stands in for |q| · |v|, of which
it is a fair part: 1e-5 leaves room for a factor of five. Differences that matter are larger by
orders of magnitude.
"""


def top_k_agreement(
    index_rankings: Sequence[Ranking],
    model_margins: np.ndarray,
    ids: Sequence[str],
    k: int,
    tolerance: float = TIE_TOLERANCE,
) -> float:
    """Mean share of the top k places that hold a document the model would put there.

    Place i agrees when the model's margin of the index's i-th document equals the model's i-th
    largest margin within the tolerance. That is rigorous: when scores are off by at most half the
    tolerance, so are the sorted scores, hence all places agree; while a real swap of two places
    does not, although both documents stay within the top k.

    Args:
        index_rankings: n rankings; missing, repeated and unknown documents do not agree.
        model_margins: [n, m].
        ids: the m document ids.
        k: places compared; at most m.
        tolerance: see TIE_TOLERANCE.

    Returns:
        1.0 when index and model agree on every place.

    Raises:
        ValueError: there is nothing to compare, or the shapes do not fit.
    """
    _check_shapes(index_rankings, model_margins, ids)
    columns = {id_: column for column, id_ in enumerate(ids)}
    k = min(k, len(ids))
    shares = []
    for ranking, margins in zip(index_rankings, model_margins, strict=True):
        best = -np.partition(-margins, k - 1)[:k]
        best = np.sort(best)[::-1]
        allowed = tolerance * float(np.abs(margins).max())
        seen: set[str] = set()
        agreed = 0
        for place, (id_, _) in zip(range(k), ranking, strict=False):
            column = columns.get(id_)
            if column is None or id_ in seen:
                continue
            seen.add(id_)
            agreed += bool(abs(float(margins[column]) - float(best[place])) <= allowed)
        shares.append(agreed / k)
    return float(np.mean(shares))


def top_k_recall(
    index_rankings: Sequence[Ranking],
    model_margins: np.ndarray,
    ids: Sequence[str],
    k: int,
    tolerance: float = TIE_TOLERANCE,
) -> float:
    """Mean share of the model's best k documents among the index's first k.

    A document counts when the model's margin of it reaches the k-th best within the tolerance, so
    that any of several that tie will do; places are not compared.

    Args:
        index_rankings: n rankings; missing, repeated and unknown documents do not count.
        model_margins: [n, m].
        ids: the m document ids.
        k: depth; at most m.
        tolerance: see TIE_TOLERANCE.

    Raises:
        ValueError: there is nothing to compare, or the shapes do not fit.
    """
    _check_shapes(index_rankings, model_margins, ids)
    columns = {id_: column for column, id_ in enumerate(ids)}
    k = min(k, len(ids))
    shares = []
    for ranking, margins in zip(index_rankings, model_margins, strict=True):
        least = -np.partition(-margins, k - 1)[k - 1] - tolerance * np.abs(margins).max()
        found = {columns[id_] for id_, _ in ranking[:k] if id_ in columns}
        shares.append(sum(bool(margins[column] >= least) for column in found) / k)
    return float(np.mean(shares))


def max_score_difference(
    index_rankings: Sequence[Ranking], model_margins: np.ndarray, ids: Sequence[str]
) -> float:
    """Largest absolute difference between an index's score and the model's margin.

    Args:
        index_rankings: n rankings of known documents.
        model_margins: [n, m].
        ids: the m document ids.

    Raises:
        ValueError: there is nothing to compare, or the shapes do not fit.
    """
    _check_shapes(index_rankings, model_margins, ids)
    columns = {id_: column for column, id_ in enumerate(ids)}
    return max(
        abs(score - float(margins[columns[id_]]))
        for ranking, margins in zip(index_rankings, model_margins, strict=True)
        for id_, score in ranking
    )


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """At most `limit` items, evenly spread over the sequence: the same ones every time."""
    if len(items) <= limit:
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


def _check_shapes(
    index_rankings: Sequence[Ranking], model_margins: np.ndarray, ids: Sequence[str]
) -> None:
    expected = (len(index_rankings), len(ids))
    if 0 in expected or model_margins.shape != expected:
        raise ValueError(
            f"{expected[0]} rankings of {expected[1]} documents against margins of shape "
            f"{model_margins.shape}"
        )
