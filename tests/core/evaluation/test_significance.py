"""Randomization test, Holm's correction, bootstrap intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.evaluation.significance import (
    confidence_interval,
    paired_test,
    proportion_interval,
    with_holm,
)


def _values(numbers: list[float]) -> dict[str, float]:
    return {f"q{i:03}": value for i, value in enumerate(numbers)}


def _p(a: list[float], b: list[float], **options: int) -> float:
    row = paired_test(("a", _values(a)), ("b", _values(b)), "MRR@10", **options)
    return float(row["p_value"])


def test_identical_runs_have_p_one() -> None:
    same = [0.0, 0.5, 1.0] * 10
    row = paired_test(("a", _values(same)), ("b", _values(same)), "R@1", permutations=500)
    assert row == {
        "a": "a",
        "b": "b",
        "metric": "R@1",
        "difference": 0.0,
        "p_value": 1.0,
        "test": "paired randomization, two-sided",
    }


def test_clear_difference_has_a_small_p_and_a_sign() -> None:
    worse, better = [0.0] * 40, [1.0] * 40
    row = paired_test(("a", _values(worse)), ("b", _values(better)), "R@1", permutations=1000)
    assert row["p_value"] < 0.01
    assert row["difference"] == -1.0


def test_few_queries_are_tested_exactly() -> None:
    # 2³ sign patterns, two of them as extreme as the observed one.
    assert _p([1.0] * 3, [0.0] * 3) == pytest.approx(2 / 8)
    assert _p([1.0], [0.0]) == 1.0


def test_seed_decides() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(60).tolist(), rng.random(60).tolist()
    first = _p(a, b, permutations=300, seed=1)
    assert first == _p(a, b, permutations=300, seed=1)
    assert first != _p(a, b, permutations=300, seed=2)
    assert 0.05 < first <= 1


def test_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same queries.*q001"):
        _p([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="at least one"):
        _p([], [])


def test_holm() -> None:
    rows = with_holm([{"p_value": p} for p in (0.04, 0.01, 0.03, 0.9)])
    # 4 · 0.01, 3 · 0.03, then never below the one before, and at most 1.
    assert [row["p_value_holm"] for row in rows] == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert with_holm([]) == []
    assert with_holm([{"p_value": 0.6}, {"p_value": 0.7}])[1]["p_value_holm"] == 1.0


def test_interval_holds_the_mean_and_is_repeatable() -> None:
    values = np.random.default_rng(0).random(200).tolist()
    low, high = confidence_interval(values)
    assert low < np.mean(values) < high
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / np.sqrt(200), rel=0.1)
    assert confidence_interval(values) == (low, high)


def test_equal_values_prove_nothing_about_queries_not_met() -> None:
    # 0.05^(1/9): the share of right answers that nine of nine would still show in 5 of 100 cases.
    assert confidence_interval([1.0] * 9) == pytest.approx((0.05 ** (1 / 9), 1.0))
    assert confidence_interval([0.0] * 300) == pytest.approx((0.0, 3 / 300), abs=1e-4)
    low, high = confidence_interval([0.0] * 9, bounds=(-1, 1))
    assert -low == pytest.approx(high)
    assert confidence_interval([0.5]) == pytest.approx((0.025, 0.975))
    with pytest.raises(ValueError, match="no values"):
        confidence_interval([])


def test_interval_covers_a_mean_near_one_as_often_as_it_says() -> None:
    """A plain percentile interval covers it in fewer than 90 of 100 samples."""
    rng = np.random.default_rng(5)
    intervals = [
        confidence_interval((rng.random(100) < 0.97).astype(float), resamples=400, seed=i)
        for i in range(150)
    ]
    covered = np.mean([low <= 0.97 <= high for low, high in intervals])
    assert covered >= 0.9


def test_permutation_test_finds_nothing_where_there_is_nothing() -> None:
    """Under the null, p below 0.1 comes in about 10 of 100 cases, and not more."""
    rng = np.random.default_rng(3)
    p_values = [
        _p(*rng.choice([0.0, 0.5, 1.0], size=(2, 40)).tolist(), permutations=400)
        for _ in range(200)
    ]
    assert 0.03 <= np.mean(np.array(p_values) < 0.1) <= 0.15


@settings(deadline=None)
@given(st.integers(1, 200), st.data())
def test_interval_of_a_share(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = proportion_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert low < high
    mirrored = proportion_interval(trials - successes, trials)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-9)


def test_share_without_trials() -> None:
    with pytest.raises(ValueError, match="at least one"):
        proportion_interval(0, 0)
