"""The best of many scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rabtriever_core.index.ranking import top_positions

FEW_VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])


@given(arrays(np.float32, st.integers(1, 40), elements=FEW_VALUES), st.integers(0, 50))
def test_equal_to_a_stable_sort_of_all(scores: np.ndarray, depth: int) -> None:
    expected = np.argsort(-scores, kind="stable")[:depth]
    assert top_positions(scores, depth).tolist() == expected.tolist()
