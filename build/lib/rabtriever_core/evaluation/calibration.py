"""Do probabilities mean what they say: fitting σ(slope · margin + bias), and measuring it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.config import CalibrationConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.evaluation.abstention import fit_threshold
from rabtriever_core.evaluation.metrics import Run, ranking
from rabtriever_core.models.arrays import Reals
from rabtriever_core.models.probability import Calibration, sigmoid

BINS = 10

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """What a system said about n queries, and what the judgements say.

    A document that nobody judged counts as wrong, as it does in every metric: where judgements
    have gaps, the probability is one of being *judged* right.
    """

    pairs: list[tuple[str, str]]
    """Query and document of the p pairs: every query's best k documents."""
    margins: Reals
    """Of the pairs [p]."""
    right: Flags
    """Of the pairs [p]."""
    top: Reals
    """Margin of every query's best document [n]."""
    top_right: Flags
    """Whether that one is right [n]."""
    masked_top: Reals
    """Margin of the best document when the right ones are taken out of the pool [≤ n]: a query
    that nothing fits. Left out where nothing would remain."""


@dataclass(frozen=True)
class Bin:
    """Pairs of like probability: what was said of them, and what held."""

    low: float
    high: float
    predicted: float
    """Mean probability."""
    observed: float
    """Share that is right (or the mean of whatever the probabilities are held to)."""
    pairs: int


def gather(run: Run, relevant: Mapping[str, set[str]], k: int) -> Evidence:
    """Collect the evidence of a run.

    Args:
        run: query → document → margin. Its rankings must be longer than the right documents of a
            query are many, or the query's masked margin is left out.
        relevant: query → its right documents, for the queries of interest.
        k: best documents per query that become pairs.

    Raises:
        ValueError: there are no queries, or one has no ranking.
    """
    pairs: list[tuple[str, str]] = []
    top, top_right, masked = [], [], []
    for query, right in relevant.items():
        if not run.get(query):
            raise ValueError(f"no ranking of query {query!r} to calibrate on")
        ranked = ranking(run[query])
        pairs += [(query, document) for document in ranked[:k]]
        top.append(run[query][ranked[0]])
        top_right.append(ranked[0] in right)
        masked += [run[query][d] for d in ranked if d not in right][:1]
    if not pairs:
        raise ValueError("no queries to calibrate on")
    return Evidence(
        pairs,
        np.array([run[query][document] for query, document in pairs]),
        np.array([document in relevant[query] for query, document in pairs]),
        np.array(top),
        np.array(top_right),
        np.array(masked),
    )


def calibrate(evidence: Evidence, config: CalibrationConfig) -> Calibration:
    """Fit probabilities and the threshold for answering.

    Raises:
        ModelError: the fit did not converge.
    """
    slope, bias = fit_sigmoid(evidence.margins, evidence.right, bias=config.method == "platt")
    fitted = Calibration(
        slope=slope,
        bias=bias,
        threshold=None,
        precision=config.precision,
        unanswerable_share=config.unanswerable_share,
    )
    threshold = fit_threshold(
        fitted.probabilities(evidence.top),
        evidence.top_right,
        fitted.probabilities(evidence.masked_top),
        precision=config.precision,
        unanswerable_share=config.unanswerable_share,
    )
    return fitted.model_copy(update={"threshold": threshold})


def fit_sigmoid(margins: Reals, right: Flags, *, bias: bool) -> tuple[float, float]:
    """Slope (at least 0) and bias of σ(slope · margin + bias) with the smallest NLL.

    The targets are Platt's (1999), (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2) instead of 1 and 0: where
    margins separate right from wrong perfectly, plain NLL would make every probability 0 or 1.

    Args:
        margins: [p].
        right: [p]; all of one kind gives a slope of 0 and the base rate.
        bias: fit it; without, it is 0 and the slope is 1 / temperature.

    Raises:
        ModelError: the fit did not converge.
    """
    from scipy.optimize import minimize

    positives = int(right.sum())
    targets = np.where(right, (positives + 1) / (positives + 2), 1 / (len(right) - positives + 2))
    # Centred and scaled, slope and bias are of one size and hardly depend on each other.
    centre = float(margins.mean()) if bias else 0.0
    scale = float(np.abs(margins - centre).max()) or 1.0
    features = np.stack([(margins - centre) / scale, np.full(len(margins), float(bias))])

    def loss(weights: Reals) -> tuple[float, Reals]:
        logits = weights @ features
        gradient = features @ (sigmoid(logits) - targets) / len(targets)
        return float(np.mean(np.logaddexp(0, logits) - targets * logits)), gradient

    # Convex, so the result does not depend on the start.
    result = minimize(
        loss,
        np.zeros(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )
    if not np.isfinite(result.x).all() or result.nit >= 1000:
        raise ModelError(
            f"the calibration of {len(margins)} pairs, {positives} of them right, did not "
            f"converge ({result.message}): are the margins of a diverged model?"
        )
    slope = float(result.x[0]) / scale
    return slope, (float(result.x[1]) - slope * centre if bias else 0.0)


def negative_log_likelihood(logits: Reals, right: Flags) -> float:
    """Mean NLL of labels under σ(logit), in nats."""
    return float(np.mean(np.logaddexp(0, np.where(right, -logits, logits))))


def brier_score(probabilities: Reals, right: Flags) -> float:
    """Mean squared difference of probability and label."""
    return float(np.mean((probabilities - right) ** 2))


def reliability(
    probabilities: Reals, observed: NDArray[np.generic], *, equal_mass: bool = False
) -> list[Bin]:
    """Bin pairs by probability; empty bins are left out.

    Args:
        probabilities: [p].
        observed: labels, or another system's probabilities [p].
        equal_mass: edges at the deciles of the probabilities instead of at 0, 0.1, …, 1. Equal
            probabilities stay in one bin, so there can be fewer than ten.
    """
    edges = np.linspace(0, 1, BINS + 1)
    if equal_mass:
        edges = np.unique(np.quantile(probabilities, edges, method="inverted_cdf"))
    number = np.clip(np.searchsorted(edges, probabilities, side="right"), 1, max(1, len(edges) - 1))
    return [
        Bin(
            low=float(edges[i - 1]),
            high=float(edges[min(i, len(edges) - 1)]),
            predicted=float(probabilities[number == i].mean()),
            observed=float(observed[number == i].mean()),
            pairs=int((number == i).sum()),
        )
        for i in np.unique(number)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """ECE: mean distance of what was said and what held, over the pairs of all bins."""
    pairs = sum(each.pairs for each in bins)
    return sum(each.pairs * abs(each.predicted - each.observed) for each in bins) / pairs
