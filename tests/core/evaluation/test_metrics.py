"""Metrics against hand-computed values and a plain re-implementation."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.errors import VectorError
from rabtriever_core.evaluation.metrics import (
    METRICS,
    aggregate,
    first_right_rank,
    most_left_out,
    per_query,
    ranking,
    run_from_scores,
    without,
)


def test_values_by_hand() -> None:
    qrels = {"a": {"d2": 1, "d9": 1}, "b": {"d1": 1, "d2": 0}}
    run = {
        "a": {"d1": 4.0, "d2": 3.0, "d3": 2.0},  # right: rank 2, and one not returned
        "b": {"d1": 1.0, "d2": 0.5},  # right: rank 1
    }
    values = per_query(qrels, run)
    assert values["R@1"] == {"a": 0.0, "b": 1.0}
    assert values["R@3"] == {"a": 0.5, "b": 1.0}
    assert values["MRR@10"] == {"a": 0.5, "b": 1.0}
    ideal = 1 + 1 / math.log2(3)
    assert values["nDCG@10"]["a"] == pytest.approx((1 / math.log2(3)) / ideal)
    assert aggregate(qrels, run)["MRR@10"] == 0.75


def test_mrr_is_cut_at_ten() -> None:
    run = {"q": {f"d{i:02}": -float(i) for i in range(20)}}
    assert aggregate({"q": {"d09": 1}}, run)["MRR@10"] == pytest.approx(0.1)
    assert aggregate({"q": {"d10": 1}}, run)["MRR@10"] == 0.0


def test_missing_queries_count_zero_and_unjudged_ones_nothing() -> None:
    qrels = {"a": {"d1": 1}, "b": {"d1": 1}, "only_wrong": {"d1": 0}}
    run = {"a": {"d1": 1.0}, "elsewhere": {"d1": 1.0}}
    values = per_query(qrels, run)
    assert set(values) == set(METRICS)
    assert all(by_query == {"a": 1.0, "b": 0.0} for by_query in values.values())
    assert set(aggregate(qrels, {}).values()) == {0.0}


def test_nothing_to_evaluate_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query has a relevant document"):
        per_query({"a": {"d1": 0}}, {})


def test_ties_rank_by_ascending_id_in_every_metric() -> None:
    run = {"q": {"d2": 1.0, "d1": 1.0, "d3": 1.0}}
    assert ranking(run["q"]) == ["d1", "d2", "d3"]
    assert set(aggregate({"q": {"d1": 1}}, run).values()) == {1.0}
    second = aggregate({"q": {"d2": 1}}, run)
    assert (second["R@1"], second["MRR@10"]) == (0.0, 0.5)


def test_scores_closer_than_float32_are_no_ties() -> None:
    # trec_eval alone would round these to the same float32 and rank by id.
    run = {"q": {"d1": 1.0, "d2": 1.0 + 1e-12}}
    assert aggregate({"q": {"d2": 1}}, run)["R@1"] == 1.0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_run_equals_sorting_by_score_then_id(data: st.DataObject) -> None:
    m = data.draw(st.integers(1, 12))
    ids = data.draw(st.permutations([f"d{i}" for i in range(m)]))
    row = data.draw(st.lists(st.integers(-2, 2), min_size=m, max_size=m))
    depth = data.draw(st.integers(1, 14))
    run = run_from_scores(["q"], ids, np.array([row], dtype=np.float32), depth)
    expected = sorted(zip(ids, row, strict=True), key=lambda pair: (-pair[1], pair[0]))[:depth]
    assert list(run["q"].items()) == expected
    assert ranking(run["q"]) == [document for document, _ in expected]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_agrees_with_a_plain_reimplementation(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    ids = [f"d{i}" for i in range(rng.randint(2, 30))]
    queries = [f"q{i}" for i in range(rng.randint(1, 5))]
    qrels = {q: {d: rng.randint(0, 2) for d in rng.sample(ids, 2)} for q in queries}
    qrels[queries[0]][ids[0]] = 1
    run = {q: {d: float(rng.randint(0, 4)) for d in ids} for q in queries if rng.random() < 0.8}
    judged = [q for q in queries if max(qrels[q].values()) > 0]
    expected = {
        name: np.mean([_plain(qrels[q], run.get(q, {}), name) for q in judged]) for name in METRICS
    }
    assert aggregate(qrels, run) == pytest.approx(expected)


def _plain(labels: dict[str, int], scores: dict[str, float], name: str) -> float:
    ranked = sorted(scores, key=lambda d: (-scores[d], d))
    gains = np.array([max(0, labels.get(d, 0)) for d in ranked], dtype=float)
    metric, k = name.split("@")
    top = gains[: int(k)]
    if metric == "R":
        return float((top > 0).sum() / sum(label > 0 for label in labels.values()))
    if metric == "MRR":
        return float(1 / (np.argmax(top > 0) + 1)) if (top > 0).any() else 0.0
    ideal = np.array(sorted(labels.values(), reverse=True)[: int(k)], dtype=float)
    return _dcg(top) / _dcg(ideal)


def _dcg(gains: np.ndarray) -> float:
    return float((gains / np.log2(np.arange(len(gains)) + 2)).sum())


def test_agrees_with_pytrec_eval() -> None:
    """Ties, several grades, several right documents, none found, none judged right, own document.

    The reference breaks ties by descending id, so it is given them broken by ascending id.
    """
    import pytrec_eval

    qrels = {
        "graded": {"d1": 3, "d2": 2, "d3": 1, "d4": 0, "d7": 2},
        "tied": {"d2": 1, "d5": 2},
        "none found": {"d6": 1},
        "nothing right": {"d1": 0},
        "own": {"d3": 1},
        "not asked": {"d1": 1},
    }
    found = {
        "graded": {"d3": 0.9, "d4": 0.8, "d1": 0.7, "d9": 0.6, "d2": 0.5, "d7": 0.4},
        "tied": dict.fromkeys(["d9", "d5", "d1", "d2", "d7"], 0.25),
        "none found": {"d1": 2.0, "d2": 1.0},
        "nothing right": {"d1": 1.0},
        "own": {"own": 9.0, "d3": 1.0, "d1": 2.0},
    }
    run = without(found, {"own": {"own"}}, 100)
    values = per_query(qrels, run)
    strict = {
        query: {document: -float(rank) for rank, document in enumerate(ranking(scores))}
        for query, scores in run.items()
    }
    measures = {"ndcg_cut.10", "recall.1,3,5,10", "recip_rank"}
    reference = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(strict)
    names = {"nDCG@10": "ndcg_cut_10", "MRR@10": "recip_rank"}
    names |= {f"R@{k}": f"recall_{k}" for k in (1, 3, 5, 10)}
    assert set(names) == set(METRICS)
    for metric, name in names.items():
        expected = {query: row[name] for query, row in reference.items()}
        # Queries with nothing right have no value; queries that were not asked count 0.
        del expected["nothing right"]
        assert values[metric] == pytest.approx(expected | {"not asked": 0.0}), metric
    assert values["nDCG@10"]["graded"] == pytest.approx(0.7002, abs=5e-5)
    assert values["MRR@10"]["own"] == 0.5


def test_left_out_documents_leave_the_ranking_and_others_move_up() -> None:
    run = {"a": {"a": 3.0, "b": 2.0, "d": 1.0, "c": 1.0}, "q": {"a": 1.0, "b": 0.5, "c": 0.25}}
    left_out = {"a": {"a", "z"}, "elsewhere": {"b", "c", "d"}}
    assert without(run, left_out, 2) == {"a": {"b": 2.0, "c": 1.0}, "q": {"a": 1.0, "b": 0.5}}
    assert without(run, {}, None) == run
    assert most_left_out(left_out, run) == 2
    assert most_left_out(left_out, ["q"]) == most_left_out({}, []) == 0


def test_bad_scores_are_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(1, 3\)"):
        run_from_scores(["q"], ["a", "b", "c"], np.zeros((1, 2)), 10)
    with pytest.raises(VectorError, match=r"document 'b' for query 'q' is not finite"):
        run_from_scores(["q"], ["a", "b"], np.array([[1.0, np.nan]]), 10)
    with pytest.raises(ValueError, match="depth is 0"):
        run_from_scores(["q"], ["a"], np.zeros((1, 1)), 0)


def test_first_right_rank() -> None:
    scores = {"a": 1.0, "b": 2.0, "c": 0.0}
    assert first_right_rank(scores, {"a", "c"}) == 2
    assert first_right_rank(scores, {"z"}) is None
