"""Randomization test, Holm's correction, bootstrap intervals."""

import numpy as np
import pytest

from rabtriever_core.evaluation.significance import confidence_interval, paired_test, with_holm


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


def test_interval_of_equal_values_is_a_point() -> None:
    assert confidence_interval([0.5]) == (0.5, 0.5)
    assert confidence_interval([1.0] * 9) == (1.0, 1.0)
    with pytest.raises(ValueError, match="no values"):
        confidence_interval([])
