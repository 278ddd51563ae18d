"""Agreement: wrong rankings are caught, ties and rounding are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.index.checks.exactness import max_score_difference, spread, top_k_agreement

IDS = [f"d{i}" for i in range(20)]
MARGINS = np.linspace(10, -9, 20, dtype=np.float32)[None]
RIGHT = [(id_, float(m)) for id_, m in zip(IDS, MARGINS[0], strict=True)]


def test_right_ranking() -> None:
    assert top_k_agreement([RIGHT[:10]], MARGINS, IDS, 10) == 1.0
    assert top_k_agreement([RIGHT], MARGINS, IDS, 100) == 1.0
    assert max_score_difference([RIGHT], MARGINS, IDS) == 0.0


@pytest.mark.parametrize(
    ("ranking", "share"),
    [
        ([RIGHT[1], RIGHT[0], *RIGHT[2:10]], 0.8),  # two places swapped within the top ten
        ([*RIGHT[:9], RIGHT[10]], 0.9),  # one document too low
        (RIGHT[9::-1], 0.0),  # the other way round
        (RIGHT[:7], 0.7),  # too short
        ([RIGHT[0]] * 10, 0.1),  # one document again and again
        ([("unknown", 10.0), *RIGHT[1:10]], 0.9),
    ],
)
def test_wrong_ranking(ranking: list[tuple[str, float]], share: float) -> None:
    assert top_k_agreement([ranking], MARGINS, IDS, 10) == pytest.approx(share)
    assert top_k_agreement([ranking, RIGHT], np.repeat(MARGINS, 2, 0), IDS, 10) < 1


def test_ties_are_interchangeable_and_near_ties_only_within_the_tolerance() -> None:
    margins = np.array([[3.0, 3.0, 3.0, 1.0]], dtype=np.float32)
    ids = ["a", "b", "c", "d"]
    assert top_k_agreement([[("c", 3.0), ("a", 3.0)]], margins, ids, 2) == 1.0
    # The same document twice is not a tie with itself.
    assert top_k_agreement([[("c", 3.0), ("c", 3.0)]], margins, ids, 2) == 0.5
    for gap, share in ((0.9e-5, 1.0), (2e-5, 0.0)):
        near = np.array([[1.0, 1.0 - gap]])
        assert top_k_agreement([[("b", 1.0), ("a", 1.0)]], near, ["a", "b"], 2) == share


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rounding_never_counts_as_disagreement(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((60, 256)).astype(np.float32)
    queries = rng.standard_normal((3, 256)).astype(np.float32)
    exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    ids = [str(i) for i in range(60)]
    rankings = []
    for query in queries:
        scores = (vectors[:, ::-1] * query[::-1]).sum(axis=1)  # another order of summation
        order = np.argsort(-scores)
        rankings.append([(ids[r], float(scores[r])) for r in order])
    assert top_k_agreement(rankings, exact, ids, 10) == 1.0
    assert max_score_difference(rankings, exact, ids) < 1e-3


def test_score_difference() -> None:
    off = [(RIGHT[0][0], RIGHT[0][1]), (RIGHT[1][0], RIGHT[1][1] - 0.25)]
    assert max_score_difference([off], MARGINS, IDS) == pytest.approx(0.25)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 rankings of 20 documents"):
        top_k_agreement([], np.zeros((0, 20)), IDS, 10)
    with pytest.raises(ValueError, match=r"shape \(1, 19\)"):
        top_k_agreement([RIGHT], MARGINS[:, :19], IDS, 10)


def test_spread() -> None:
    assert spread(range(10), 10) == spread(range(10), 99) == list(range(10))
    assert spread(range(10), 4) == [0, 2, 5, 7]
