"""Weights that even out how often documents are right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.training.examples import Examples

RELEVANT = st.lists(st.frozensets(st.integers(0, 4), min_size=1, max_size=3), min_size=1)


def _examples(relevant) -> Examples:
    return Examples([""] * len(relevant), [], [], [], relevant)


@settings(max_examples=50)
@given(RELEVANT, st.floats(0, 1))
def test_weights_average_to_one(relevant, balance) -> None:
    weights = _examples(relevant).balanced_weights(balance)
    assert weights.shape == (len(relevant),)
    assert (weights > 0).all()
    assert weights.mean() == pytest.approx(1, rel=1e-5)


@given(RELEVANT)
def test_no_balance_weighs_all_alike(relevant) -> None:
    assert (_examples(relevant).balanced_weights(0) == 1).all()


@given(st.lists(st.integers(0, 4), min_size=1))
def test_full_balance_gives_every_document_the_same_sum(documents) -> None:
    weights = _examples([frozenset([d]) for d in documents]).balanced_weights(1)
    sums = [weights[np.equal(documents, d)].sum() for d in set(documents)]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-4)


def test_a_query_with_several_right_documents_gets_their_mean() -> None:
    weights = _examples([frozenset([0]), frozenset([0]), frozenset([0, 1])]).balanced_weights(1)
    expected = np.array([1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-6)
