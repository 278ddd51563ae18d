"""BM25 beside the student: which weight of it dev chooses, and what it gains.

Documents are ranked by margin + weight · BM25. One number, fitted on some hundred queries, puts
both on one scale. Reciprocal ranks, the usual way, throw away how sure each of them is: a sum is
better (Bruch, Gai and Ingber, ACM TOIS 2023), and so it was on our sets.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rabtriever_core.data.dataset import Dataset
from rabtriever_core.evaluation.metrics import (
    Run,
    mean_values,
    most_left_out,
    per_query,
    run_from_scores,
    without,
)
from rabtriever_core.evaluation.significance import paired_test
from rabtriever_core.models.arrays import Floats

WEIGHTS = (0.0, *(2.0**power for power in range(-6, 4)))
"""That dev chooses from."""
MAX_QUERIES = 1000
"""Of dev, that the weight is chosen on."""
METRIC = "MRR@10"
"""What it is chosen by."""
_DEPTH = 10
_SIGNIFICANCE = 0.05
_BLOCK = 64
"""Queries whose scores of all documents are held at once."""

Scores = Callable[[Sequence[str]], Floats]
"""Query texts → scores of all m documents: [n, m]."""


def fused_values(
    dataset: Dataset,
    split: str,
    queries: Sequence[str],
    scores: tuple[Scores, Scores],
    weights: Sequence[float],
) -> dict[float, dict[str, dict[str, float]]]:
    """Metrics of rankings by margin + weight · BM25: weight → metric → query → value.

    Args:
        dataset: documents, judgements, and what rankings leave out.
        split: of the judgements.
        queries: ids.
        scores: margins, and BM25.
        weights: 0 is the student alone, infinity BM25 alone.
    """
    ids, depth = (
        [d.id for d in dataset.documents],
        _DEPTH + most_left_out(dataset.left_out, queries),
    )
    runs: dict[float, Run] = {weight: {} for weight in weights}
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        margins, bm25 = (score([dataset.queries[query] for query in block]) for score in scores)
        for weight, run in runs.items():
            fused = bm25 if np.isinf(weight) else margins + np.float32(weight) * bm25
            run |= without(run_from_scores(block, ids, fused, depth), dataset.left_out, _DEPTH)
    qrels = {query: dataset.qrels[split][query] for query in queries}
    return {weight: per_query(qrels, run) for weight, run in runs.items()}


def choose_weight(
    dataset: Dataset, split: str, queries: Sequence[str], scores: tuple[Scores, Scores], seed: int
) -> dict[str, Any]:
    """The weight that dev chooses: the best one where its gain is clear, else 0.

    Args:
        dataset: documents, judgements, and what rankings leave out.
        split: the one that choices are made on.
        queries: ids; more than `MAX_QUERIES` are of no use.
        scores: margins, and BM25.
        seed: of the resamples of the paired test.

    Returns:
        `weight`; `best`, the best one above 0; `metrics`, METRIC of every weight; `gain` of the
        best and its `p_value`, not corrected for the choice; `queries`, their number.
    """
    values = fused_values(dataset, split, queries, scores, WEIGHTS)
    means = {weight: mean_values(found)[METRIC] for weight, found in values.items()}
    best = max(WEIGHTS[1:], key=lambda weight: (means[weight], -weight))
    with_bm25, alone = ("hybrid", values[best][METRIC]), ("student", values[0.0][METRIC])
    test = paired_test(with_bm25, alone, METRIC, seed=seed)
    clear = test["difference"] > 0 and test["p_value"] < _SIGNIFICANCE
    return {
        "weight": best if clear else 0.0,
        "best": best,
        "metrics": {f"{weight:g}": mean for weight, mean in means.items()},
        "gain": test["difference"],
        "p_value": test["p_value"],
        "queries": len(queries),
    }
