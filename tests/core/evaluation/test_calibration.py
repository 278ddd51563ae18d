"""The fit finds what made the labels; the measures agree with their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import CalibrationConfig
from rabtriever_core.evaluation.calibration import (
    Evidence,
    brier_score,
    calibrate,
    calibration_error,
    fit_sigmoid,
    gather,
    negative_log_likelihood,
    reliability,
)
from rabtriever_core.evaluation.calibration_result import (
    abstention_result,
    agreement_result,
    pair_result,
    split_calibration,
)
from rabtriever_core.models.probability import Calibration, Scale, sigmoid

RUN = {
    "q1": {"a": 3.0, "b": 2.0, "c": 1.0},
    "q2": {"a": 0.5, "b": 1.5, "c": 1.0},
    "q3": {"c": 9.0},
}
RELEVANT = {"q1": {"a", "c"}, "q2": {"a"}, "q3": {"c"}}
PROBABILITIES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def made_evidence(
    slope: float = 2.0, bias: float = -3.0, queries: int = 600, seed: int = 0
) -> Evidence:
    """Ten margins per query, labels drawn with σ(slope · margin + bias)."""
    rng = np.random.default_rng(seed)
    margins = -np.sort(-rng.normal(size=(queries, 10)), axis=1)
    right = rng.random(margins.shape) < sigmoid(slope * margins + bias)
    masked = np.where(right, -np.inf, margins).max(axis=1)
    return Evidence(
        [(str(q), str(d)) for q in range(queries) for d in range(10)],
        margins.ravel(),
        right.ravel(),
        margins[:, 0],
        right[:, 0],
        masked[np.isfinite(masked)],
    )


def test_evidence_by_hand() -> None:
    evidence = gather(RUN, RELEVANT, 2)
    assert evidence.pairs == [("q1", "a"), ("q1", "b"), ("q2", "b"), ("q2", "c"), ("q3", "c")]
    assert evidence.margins.tolist() == [3.0, 2.0, 1.5, 1.0, 9.0]
    assert evidence.right.tolist() == [True, False, False, False, True]
    assert evidence.top.tolist() == [3.0, 1.5, 9.0]
    assert evidence.top_right.tolist() == [True, False, True]
    # Without a and c, b is the best of q1; q2's best is wrong and stays; q3 has nothing left.
    assert evidence.masked_top.tolist() == [2.0, 1.5]


def test_evidence_needs_rankings() -> None:
    with pytest.raises(ValueError, match="no ranking of query 'q4'"):
        gather(RUN, {"q4": {"a"}}, 2)
    with pytest.raises(ValueError, match="no queries"):
        gather(RUN, {}, 2)


def test_the_fit_finds_what_made_the_labels() -> None:
    evidence = made_evidence(2.0, -3.0, queries=3000)
    assert fit_sigmoid(evidence.margins, evidence.right, bias=True) == pytest.approx(
        (2.0, -3.0), abs=0.15
    )
    unbiased = made_evidence(0.5, 0.0, queries=3000)
    slope, bias = fit_sigmoid(unbiased.margins, unbiased.right, bias=False)
    assert (slope, bias) == (pytest.approx(0.5, abs=0.05), 0.0)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1000.0, 1.0), (-7.0, 1e4), (0.0, 1e-4)])
def test_the_fit_does_not_depend_on_the_margins_unit(shift: float, scale: float) -> None:
    evidence = made_evidence()
    slope, bias = fit_sigmoid(evidence.margins, evidence.right, bias=True)
    moved = fit_sigmoid(scale * evidence.margins + shift, evidence.right, bias=True)
    assert moved[0] * scale == pytest.approx(slope, rel=1e-3)
    assert moved[1] + moved[0] * shift == pytest.approx(bias, rel=1e-3)


def test_nothing_near_the_fit_is_better() -> None:
    evidence = made_evidence()
    slope, bias = fit_sigmoid(evidence.margins, evidence.right, bias=True)
    # Platt's targets differ from the labels by one in hundreds.
    best = negative_log_likelihood(slope * evidence.margins + bias, evidence.right)
    for step in ((0.2, 0), (-0.2, 0), (0, 0.2), (0, -0.2)):
        logits = (slope + step[0]) * evidence.margins + bias + step[1]
        assert negative_log_likelihood(logits, evidence.right) > best
    temperature, _ = fit_sigmoid(evidence.margins, evidence.right, bias=False)
    assert negative_log_likelihood(temperature * evidence.margins, evidence.right) > best


def test_perfectly_separated_labels_have_a_finite_fit() -> None:
    margins = np.array([-2.0, -1.0, 1.0, 2.0] * 25)
    slope, bias = fit_sigmoid(margins, margins > 0, bias=True)
    assert 1 < slope < 20
    assert bias == pytest.approx(0, abs=1e-3)
    assert sigmoid(slope * 2 + bias) < 1


@pytest.mark.parametrize("right", [True, False])
def test_labels_of_one_kind_give_the_base_rate(right: bool) -> None:
    margins = np.linspace(-3, 3, 50)
    slope, bias = fit_sigmoid(margins, np.full(50, right), bias=True)
    assert slope == pytest.approx(0, abs=1e-3)
    assert sigmoid(bias) == pytest.approx(51 / 52 if right else 1 / 52, abs=1e-3)


def test_margins_that_mislead_are_given_no_weight() -> None:
    evidence = made_evidence()
    slope, _ = fit_sigmoid(-evidence.margins, evidence.right, bias=True)
    assert slope == 0
    constant, bias = fit_sigmoid(np.full(10, 4.0), np.arange(10) < 2, bias=True)
    assert constant == 0
    assert sigmoid(bias) == pytest.approx(0.2, abs=0.08)


def test_calibrated_probabilities_are_calibrated_on_other_queries() -> None:
    fitted = calibrate(made_evidence(seed=1), CalibrationConfig(precision=0.6))
    other = made_evidence(seed=2)
    result = pair_result(other, fitted, other.margins)
    assert result["calibrated"]["ece_equal_width"] < 0.02 < result["student"]["ece_equal_width"]
    assert result["calibrated"]["nll"] < result["student"]["nll"]
    assert result["student"] == result["teacher"]
    shifted = pair_result(
        other,
        fitted.model_copy(update={"teacher": Scale(slope=fitted.slope, bias=fitted.bias - 9)}),
        other.margins + 9 / fitted.slope,
    )
    assert shifted["teacher_calibrated"]["nll"] == pytest.approx(result["calibrated"]["nll"])
    abstention = abstention_result(other, fitted)
    assert abstention["precision_in_mix"] == pytest.approx(0.6, abs=0.1)
    assert abstention["precision"] > abstention["precision_in_mix"]


def test_bins_by_hand() -> None:
    probabilities = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    bins = reliability(probabilities, np.array([0, 1, 0, 1, 1]))
    assert [(b.low, b.pairs, b.observed) for b in bins] == [
        (0.0, 2, 0.5),
        (0.1, 1, 0.0),
        (0.9, 2, 1.0),
    ]
    expected = (2 * abs(0.025 - 0.5) + 0.1 + 2 * 0.025) / 5
    assert calibration_error(bins) == pytest.approx(expected)
    equal = reliability(np.linspace(0, 1, 100), np.ones(100), equal_mass=True)
    assert {b.pairs for b in equal} <= {9, 10, 11}


@settings(deadline=None)
@given(PROBABILITIES, st.booleans())
def test_bins_hold_every_pair_once(pairs: list[tuple[float, bool]], equal_mass: bool) -> None:
    probabilities, right = (np.array(column) for column in zip(*pairs, strict=True))
    bins = reliability(probabilities, right, equal_mass=equal_mass)
    assert sum(b.pairs for b in bins) == len(pairs)
    assert all(b.low - 1e-9 <= b.predicted <= b.high + 1e-9 for b in bins)
    assert 0 <= calibration_error(bins) <= 1
    # Coarser than the Brier score's root: |mean p − mean y| is at most its quadratic mean.
    assert calibration_error(bins) <= np.sqrt(brier_score(probabilities, right)) + 1e-9
    means = sum(b.pairs * b.observed for b in bins) / len(pairs)
    assert means == pytest.approx(right.mean())


def test_equal_probabilities_share_a_bin() -> None:
    right = np.array([True] * 3 + [False] * 7)
    (only,) = reliability(np.full(10, 0.3), right, equal_mass=True)
    assert (only.pairs, only.observed) == (10, 0.3)


def test_nll_is_stable_for_large_margins() -> None:
    assert negative_log_likelihood(np.array([1e4]), np.array([False])) == 1e4
    assert negative_log_likelihood(np.array([0.0]), np.array([True])) == pytest.approx(np.log(2))


def test_agreement_of_a_system_with_itself() -> None:
    margins = made_evidence().margins
    alike = Calibration(
        slope=1,
        bias=0,
        threshold=None,
        precision=0.9,
        unanswerable_share=0.5,
        teacher=Scale(slope=1, bias=0),
    )
    same = agreement_result(margins, margins, alike)
    assert (same["mean_absolute_difference"], same["mean_margin_difference"]) == (0, 0)
    assert all(b["predicted"] == b["observed"] for b in same["bins"])
    assert agreement_result(margins + 2, margins, alike)["mean_margin_difference"] == pytest.approx(
        2
    )
    # Another level and scale of the margins is no difference to people.
    shifted = alike.model_copy(update={"slope": 0.5, "bias": -1})
    other = agreement_result(2 * margins + 2, margins, shifted)
    assert other["mean_absolute_difference"] == pytest.approx(0, abs=1e-9)


def test_all_pairs_only_where_the_rankings_hold_them() -> None:
    run = {q: RUN[q] for q in ("q1", "q2")}
    relevant = {q: RELEVANT[q] for q in run}
    fitted = Calibration(slope=1, bias=0, threshold=None, precision=0.9, unanswerable_share=0.5)
    whole = split_calibration(run, run, relevant, fitted, 2, documents=3)
    assert (whole["best"]["pairs"], whole["all_pairs"]["pairs"]) == (4, 6)
    assert whole["teacher_agreement"]["mean_absolute_difference"] == 0
    assert "answered" not in whole["abstention"]
    cut = split_calibration(run, run, relevant, fitted, 2, documents=4)
    assert "all_pairs" not in cut
