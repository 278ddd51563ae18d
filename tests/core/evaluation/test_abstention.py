"""Thresholds reach what they were fitted for; curves and AUROC against plain definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.evaluation.abstention import auroc, fit_threshold, risk_coverage

NONE = np.array([])
QUERIES = st.lists(
    st.tuples(st.sampled_from([i / 20 for i in range(21)]), st.booleans()),
    min_size=1,
    max_size=40,
)
UNANSWERABLE = st.lists(st.sampled_from([i / 20 for i in range(21)]), max_size=20)


def test_curve_by_hand() -> None:
    top, right = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, True])
    curve = risk_coverage(top, right, NONE, 0.5)
    assert curve.threshold.tolist() == [0.9, 0.8, 0.1]
    assert curve.coverage == pytest.approx([0.25, 0.75, 1.0])
    assert curve.risk == pytest.approx([0, 1 / 3, 1 / 4])
    assert curve.answered.tolist() == [1, 3, 4]
    assert curve.area == pytest.approx(0.5 * (1 / 3) + 0.25 * (1 / 4))
    mix = risk_coverage(top, right, np.array([0.85, 0.05]), 0.5)
    assert mix.threshold.tolist() == [0.9, 0.85, 0.8, 0.1, 0.05]
    assert mix.coverage == pytest.approx([1 / 8, 3 / 8, 5 / 8, 6 / 8, 1])
    assert mix.risk == pytest.approx([0, 2 / 3, 3 / 5, 3 / 6, 5 / 8])
    with pytest.raises(ValueError, match="at least one"):
        risk_coverage(NONE, NONE, NONE, 0.0)


@settings(deadline=None)
@given(QUERIES, UNANSWERABLE, st.sampled_from([0.0, 0.3, 0.5]), st.sampled_from([0.5, 0.8, 0.9]))
def test_threshold_reaches_the_precision_and_answers_most_rightly(
    queries: list[tuple[float, bool]], unanswerable: list[float], share: float, precision: float
) -> None:
    top, right = np.array([p for p, _ in queries]), np.array([r for _, r in queries])
    masked = np.array(unanswerable)
    found = fit_threshold(top, right, masked, precision=precision, unanswerable_share=share)
    weight = share if len(masked) else 0.0

    def outcome(threshold: float) -> tuple[int, float, float]:
        """Real queries answered, share of all answered, share right: by definition."""
        real, others = top >= threshold, masked >= threshold
        answered = (1 - weight) * real.mean() + (weight * others.mean() if len(masked) else 0)
        good = (1 - weight) * (real & right).mean()
        return int(real.sum()), answered, good / answered if answered else 0.0

    least = round(1 / (1 - precision))
    candidates = [outcome(t) for t in np.unique(np.concatenate([top, masked, [0.0]]))]
    fitting = [o for o in candidates if o[0] >= least and o[2] >= precision - 1e-9]
    if found is None:
        assert not fitting
    else:
        assert outcome(found)[0] >= least
        assert outcome(found)[2] >= precision - 1e-9
        most = max(o[1] * o[2] for o in fitting)
        strictest = min(o[1] for o in fitting if o[1] * o[2] >= most - 1e-9)
        assert outcome(found)[1] == pytest.approx(strictest)


def test_threshold_lies_between_queries() -> None:
    top = np.concatenate([np.full(20, 0.8), np.full(20, 0.4)])
    right = np.arange(40) < 20
    assert fit_threshold(top, right, NONE, precision=0.9, unanswerable_share=0.5) == pytest.approx(
        0.6
    )
    everything = fit_threshold(top, right | True, NONE, precision=0.9, unanswerable_share=0.5)
    assert everything == 0.0


def test_wrong_answers_that_the_precision_allows_are_not_given() -> None:
    """A small dev split, answered rightly: with 10% unanswerable, threshold 0 has precision 0.9."""
    top, masked = np.linspace(0.5, 0.9, 12), np.linspace(0.01, 0.2, 12)
    found = fit_threshold(top, top > 0, masked, precision=0.9, unanswerable_share=0.1)
    assert found == pytest.approx((0.5 + 0.2) / 2)


def test_few_right_answers_prove_no_precision() -> None:
    top, right = np.linspace(0, 1, 9), np.ones(9, bool)
    assert fit_threshold(top, right, NONE, precision=0.9, unanswerable_share=0) is None
    top, right = np.linspace(0, 1, 10), np.ones(10, bool)
    assert fit_threshold(top, right, NONE, precision=0.9, unanswerable_share=0) == 0.0
    assert fit_threshold(top, ~right, NONE, precision=0.9, unanswerable_share=0) is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auroc_is_the_chance_of_the_right_order(a: list[int], b: list[int]) -> None:
    wins = [(x > y) + 0.5 * (x == y) for x, y in itertools.product(a, b)]
    assert auroc(np.array(a, float), np.array(b, float)) == pytest.approx(np.mean(wins))


def test_auroc_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="with and without"):
        auroc(np.ones(3), NONE)
