"""Which weight of BM25 dev chooses, and what rankings by the sum are worth."""

from collections.abc import Sequence

import numpy as np
import pytest

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.evaluation.hybrid import METRIC, WEIGHTS, choose_weight, fused_values
from rabtriever_core.evaluation.metrics import mean_values

COUNT = 30
DATASET = Dataset(
    "demo",
    tuple(Document(f"d{n:02}", f"text {n}") for n in range(COUNT)),
    {f"q{n:02}": str(n) for n in range(COUNT)},
    {"dev": {f"q{n:02}": {f"d{n:02}": 1} for n in range(COUNT)}},
)
QUERIES = DATASET.split_queries("dev")


def _right(texts: Sequence[str], strength: float = 1.0) -> np.ndarray:
    return strength * np.eye(COUNT, dtype=np.float32)[[int(text) for text in texts]]


def _wrong(texts: Sequence[str]) -> np.ndarray:
    return -_right(texts)


def _nothing(texts: Sequence[str]) -> np.ndarray:
    return np.zeros((len(texts), COUNT), dtype=np.float32)


def test_a_weight_is_chosen_where_it_helps() -> None:
    found = choose_weight(DATASET, "dev", QUERIES, (_nothing, _right), seed=1)
    assert found["weight"] == found["best"] == min(WEIGHTS[1:]), "of equal ones the smallest"
    assert found["p_value"] < 0.01
    assert found["queries"] == COUNT
    assert found["metrics"]["8"] == 1.0
    assert found["gain"] == pytest.approx(1 - found["metrics"]["0"])
    # It must outweigh a margin of 3 that is against it.
    against = choose_weight(
        DATASET, "dev", QUERIES, (lambda texts: -_right(texts, 3.0), _right), seed=1
    )
    assert against["weight"] == 4.0


def test_none_is_chosen_where_it_gains_nothing_or_nothing_clear() -> None:
    assert choose_weight(DATASET, "dev", QUERIES, (_right, _wrong), seed=1)["weight"] == 0
    assert choose_weight(DATASET, "dev", QUERIES, (_right, _right), seed=1)["weight"] == 0
    few = choose_weight(DATASET, "dev", QUERIES[:4], (_wrong, _right), seed=1)
    assert (few["gain"] > 0.5, few["weight"]) == (True, 0.0), "four queries may be chance"


def test_rankings_are_by_the_sum_without_what_is_left_out() -> None:
    # In BEIR a query of a document's id leaves that document out.
    own = Dataset(
        "demo",
        DATASET.documents,
        {"d00": "0", "q1": "1"},
        {"dev": {"d00": {"d01": 1}, "q1": {"d01": 1}}},
    )
    values = fused_values(own, "dev", ["d00", "q1"], (_right, _nothing), [0.0, 1.0])
    assert values[0.0] == values[1.0]
    assert values[0.0][METRIC] == {"d00": 1.0, "q1": 1.0}
    alone = fused_values(DATASET, "dev", QUERIES, (_wrong, _right), [0.0, np.inf])
    assert mean_values(alone[np.inf])["R@1"] == 1.0, "infinity is BM25 alone"
    assert mean_values(alone[0.0])["R@1"] == 0.0
