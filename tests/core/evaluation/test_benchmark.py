"""Which queries are compared, how systems are ranked, and which examples are shown."""

from dataclasses import replace

import numpy as np
import pytest

from rabtriever_core.config import BenchmarkConfig
from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.errors import DatasetError
from rabtriever_core.evaluation.benchmark import (
    PAIRS,
    compare_systems,
    corrected,
    evaluated_queries,
    measure_latency,
    rank_systems,
    split_result,
)
from rabtriever_core.evaluation.metrics import most_left_out
from rabtriever_core.evaluation.schema import SYSTEMS
from rabtriever_core.evaluation.systems import bm25_ranker, popularity_ranker, vector_ranker
from rabtriever_core.report.examples import pick_examples

DATASET = Dataset(
    "small",
    tuple(Document(f"d{i}", f"word{i} " * 200, f"Title {i}") for i in range(5)),
    {f"q{i:02}": f"about word{i % 5}" for i in range(40)},
    {
        "train": {f"q{i:02}": {"d1" if i < 6 else "d2": 1} for i in range(10)},
        "dev": {f"q{i:02}": {f"d{i % 5}": 1} for i in range(10, 40)},
        "unjudged": {"q39": {"d0": 0}},
    },
)
LATENCY = {name: {"median": 1.0, "p95": 2.0, "mean": 1.0} for name in SYSTEMS}


def test_all_splits_but_train_and_a_fixed_sample() -> None:
    chosen = evaluated_queries(DATASET, BenchmarkConfig(), "train", "none")
    assert {split: len(queries) for split, queries in chosen.items()} == {"dev": 30}
    few = evaluated_queries(DATASET, BenchmarkConfig(max_queries=7), "train", "none")["dev"]
    assert few == sorted(few)
    assert len(few) == 7
    again = evaluated_queries(DATASET, BenchmarkConfig(max_queries=7), "train", "none")["dev"]
    assert few == again, "no seed of a run decides: runs of several seeds are compared"


def test_only_train_is_an_error() -> None:
    only = Dataset("only", DATASET.documents, DATASET.queries, {"train": DATASET.qrels["train"]})
    with pytest.raises(DatasetError, match="no judged queries outside 'train'"):
        evaluated_queries(only, BenchmarkConfig(), "train", "none")


def test_popularity_gives_every_query_the_most_frequent_documents() -> None:
    # d1 is right for six training queries, d2 for four; the others for none, and keep their order.
    first, second = popularity_ranker(DATASET, "train", 3)(["about word0", "about word4"])
    assert list(first) == ["d1", "d2", "d0"]
    assert second == first


def test_ranks_and_times_every_system() -> None:
    vectors = np.eye(5, dtype=np.float32)
    systems = {
        "bm25": bm25_ranker(DATASET.documents, 3),
        "bi_encoder": vector_ranker(
            lambda queries: np.ones((len(queries), 5), np.float32),
            [d.id for d in DATASET.documents],
            vectors,
            3,
        ),
    }
    runs = rank_systems(systems, {q: DATASET.queries[q] for q in ("q02", "q03")})
    assert next(iter(runs["bm25"]["q03"])) == "d3"
    assert list(runs["bi_encoder"]["q02"]) == ["d0", "d1", "d2"]
    latency = measure_latency(systems, ["about word1"])
    assert latency["bm25"]["median"] > 0


def test_a_querys_own_document_is_left_out_of_every_ranking() -> None:
    # As in ArguAna and Quora: every query is a document, too.
    queries = {"d1": "about word1", "d3": "about word3"}
    asked = Dataset("own", DATASET.documents, queries, {"test": {q: {"d0": 1} for q in queries}})
    systems = {"bm25": bm25_ranker(asked.documents, 3 + most_left_out(asked.left_out, queries))}
    alone = rank_systems(systems, queries)["bm25"]
    assert [next(iter(run)) for run in alone.values()] == ["d1", "d3"]
    runs = rank_systems(systems, queries, asked.left_out, 3)["bm25"]
    assert runs == {
        "d1": {"d0": 0.0, "d2": 0.0, "d3": 0.0},
        "d3": {"d0": 0.0, "d1": 0.0, "d2": 0.0},
    }


def test_split_result_compares_the_student_with_all_others() -> None:
    queries = DATASET.split_queries("dev")
    right = {q: {f"d{int(q[1:]) % 5}": 1.0} for q in queries}
    wrong = {q: {"d4" if int(q[1:]) % 5 != 4 else "d0": 1.0} for q in queries}
    runs = {"bm25": wrong, "bi_encoder": wrong, "teacher": right, "student": right}
    result = split_result(DATASET, "dev", runs, LATENCY, permutations=500, seed=1)
    assert result["systems"]["student"]["metrics"]["MRR@10"] == 1.0
    low, high = result["systems"]["bm25"]["confidence"]["R@1"]
    assert low == 0 < high < 0.1, "thirty wrong answers do not prove that all others are wrong"
    (split,) = corrected({"dev": result}).values()
    rows = {(row["a"], row["b"], row["metric"]): row for row in split["comparisons"]}
    assert rows["student", "teacher", "MRR@10"]["p_value_holm"] == 1.0
    assert rows["student", "bm25", "R@1"]["difference"] == 1.0
    assert rows["teacher", "bi_encoder", "R@1"]["difference"] == 1.0
    row = rows["student", "bm25", "R@1"]
    assert row["p_value"] < row["p_value_holm"] < 0.05


def test_correction_is_for_all_splits_together() -> None:
    splits = {
        "a": {"comparisons": [{"p_value": 0.01}, {"p_value": 0.04}], "systems": 1},
        "b": {"comparisons": [{"p_value": 0.02}]},
    }
    result = corrected(splits)
    holm = {
        name: [r["p_value_holm"] for r in split["comparisons"]] for name, split in result.items()
    }
    assert holm["a"] == pytest.approx([3 * 0.01, 0.04])
    assert holm["b"] == pytest.approx([2 * 0.02])
    assert result["a"]["systems"] == 1


def test_comparisons_are_repeatable() -> None:
    rng = np.random.default_rng(0)
    values = {
        name: {m: {f"q{i}": float(rng.random()) for i in range(30)} for m in ("MRR@10", "R@1")}
        for name in SYSTEMS
    }
    assert compare_systems(values, 200, 3) == compare_systems(values, 200, 3)


def test_examples_are_won_or_lost_and_shortened() -> None:
    won, lost, both = "q10", "q11", "q12"
    right = {won: "d0", lost: "d1", both: "d2"}
    student = {won: {"d0": 1.0}, lost: {"d0": 2.0, "d1": 1.0}, both: {"d2": 1.0}}
    others = {won: {"d3": 1.0}, lost: {"d1": 1.0}, both: {"d2": 1.0}}
    runs = {"bm25": others, "bi_encoder": others, "teacher": others, "student": student}
    rows = pick_examples(DATASET, "dev", list(right), runs)
    assert [(row["outcome"], row["query"]) for row in rows] == [
        ("won", DATASET.queries[won]),
        ("lost", DATASET.queries[lost]),
    ]
    assert [shown["right"] for shown in rows[1]["systems"]["student"]] == [False, True]
    assert rows[0]["right"] == ["Title 0"]
    assert len(rows[0]["systems"]["student"][0]["text"]) <= 280


def test_dev_is_left_out_where_there_is_a_test_split() -> None:
    both = replace(DATASET, qrels=DATASET.qrels | {"test": DATASET.qrels["dev"]})
    config = BenchmarkConfig()
    assert set(evaluated_queries(both, config, "train", "dev")) == {"test"}
    assert set(evaluated_queries(DATASET, config, "train", "dev")) == {"dev"}
    with_dev = config.model_copy(update={"include_dev": True})
    assert set(evaluated_queries(both, with_dev, "train", "dev")) == {"dev", "test"}


def test_further_systems_are_compared_with_student_and_teacher() -> None:
    rng = np.random.default_rng(0)
    values = {
        name: {m: {f"q{i}": float(rng.random()) for i in range(30)} for m in ("MRR@10", "R@1")}
        for name in (*SYSTEMS, "minilm", "linear_reranker")
    }
    found = {(row["a"], row["b"]) for row in compare_systems(values, 100, 3)}
    further = {(a, b) for a in ("student", "teacher") for b in ("minilm", "linear_reranker")}
    assert found == set(PAIRS) | further
    usual = {name: values[name] for name in SYSTEMS}
    assert {(row["a"], row["b"]) for row in compare_systems(usual, 100, 3)} == set(PAIRS)
