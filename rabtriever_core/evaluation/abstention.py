"""When to say "nothing here fits": threshold, risk against coverage, AUROC."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.models.arrays import Reals

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class RiskCoverage:
    """Every distinct threshold, from the strictest to answering all; all of one length."""

    threshold: Reals
    coverage: Reals
    """Share of the queries whose best document reaches the threshold."""
    risk: Reals
    """Share of wrong answers among them."""
    answered: NDArray[np.int64]
    """How many of the queries that have a right document are answered."""

    @property
    def area(self) -> float:
        """Mean risk over all coverages (AURC), lower is better."""
        steps = np.diff(self.coverage, prepend=0.0)
        return float(np.sum(steps * self.risk) / self.coverage[-1])


def risk_coverage(
    top: Reals, right: Flags, unanswerable: Reals, unanswerable_share: float
) -> RiskCoverage:
    """Risk against coverage of a mix of queries; an answer to an unanswerable one is wrong.

    Args:
        top: probability of the best document of n queries [n].
        right: whether it is right [n].
        unanswerable: probability of the best document of queries that nothing fits [u].
        unanswerable_share: their share in the mix; 0 where there are none.

    Raises:
        ValueError: there are no queries.
    """
    if not len(top):
        raise ValueError("no queries: risk and coverage need at least one")
    share = unanswerable_share if len(unanswerable) else 0.0
    probabilities = np.concatenate([top, unanswerable])
    correct = np.concatenate([right, np.zeros(len(unanswerable), bool)])
    real = np.arange(len(probabilities)) < len(top)
    weights = np.where(real, (1 - share) / len(top), share / max(1, len(unanswerable)))
    order = np.argsort(-probabilities, kind="stable")
    # Equal probabilities are answered together or not at all.
    last = np.flatnonzero(np.diff(probabilities[order], append=-1.0))
    answered = np.cumsum(weights[order])[last]
    good = np.cumsum((weights * correct)[order])[last]
    # Without a share, thresholds that only unanswerable queries reach answer nothing.
    kept = answered > 0
    return RiskCoverage(
        threshold=probabilities[order][last][kept],
        # Sums of weights miss 0 and 1 by rounding.
        coverage=np.minimum(answered[kept], 1.0),
        risk=np.clip(1 - good[kept] / answered[kept], 0.0, 1.0),
        answered=np.cumsum(real[order], dtype=np.int64)[last][kept],
    )


def fit_threshold(
    top: Reals,
    right: Flags,
    unanswerable: Reals,
    *,
    precision: float,
    unanswerable_share: float,
) -> float | None:
    """The threshold that answers most queries rightly while this share of the answers is right.

    Of several that do, the strictest: wrong answers that the precision would allow are worth
    nothing. It lies halfway between the last query it answers and the next one. At least
    1 / (1 − precision) queries must be answered: fewer could not show the wrong ones that are
    allowed.

    Args:
        top: probability of the best document of n queries [n].
        right: whether it is right [n].
        unanswerable: the same of queries that nothing fits [u].
        precision: share of right answers.
        unanswerable_share: see `risk_coverage`.

    Returns:
        The threshold, 0 to answer everything; None when none reaches the precision.
    """
    curve = risk_coverage(top, right, unanswerable, unanswerable_share)
    enough = curve.answered >= math.ceil(round(1 / (1 - precision), 6))
    # Rounding must not turn nine right answers of ten into less than 0.9.
    reached = np.flatnonzero(enough & (1 - curve.risk >= precision - 1e-12))
    if not len(reached):
        return None
    rightly = (1 - curve.risk) * curve.coverage
    most = rightly[reached].max() - 1e-12
    chosen = int(reached[rightly[reached] >= most][0])
    if chosen == len(curve.threshold) - 1:
        return 0.0
    return float(curve.threshold[chosen] + curve.threshold[chosen + 1]) / 2


def auroc(answerable: Reals, unanswerable: Reals) -> float:
    """Chance that a query with a right document scores above one without; ties count half.

    Args:
        answerable: score of the best document [n].
        unanswerable: the same of queries whose right documents were taken out [u].

    Raises:
        ValueError: one of them is empty.
    """
    from scipy.stats import mannwhitneyu

    if not len(answerable) or not len(unanswerable):
        raise ValueError("AUROC needs queries with and without a right document")
    above = mannwhitneyu(answerable, unanswerable).statistic
    return float(above / (len(answerable) * len(unanswerable)))
