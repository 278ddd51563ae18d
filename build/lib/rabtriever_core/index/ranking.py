"""The best of many scores, without sorting them all."""

import numpy as np
from numpy.typing import NDArray


def top_positions(scores: NDArray[np.floating], depth: int) -> NDArray[np.intp]:
    """Positions of the `depth` highest scores in order; equal ones by position."""
    candidates = np.arange(len(scores))
    if depth < len(scores):
        threshold = np.partition(scores, -depth)[-depth]
        candidates = np.flatnonzero(scores >= threshold)
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:depth]]
