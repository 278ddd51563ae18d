"""Comparing systems on the same queries: quality, significance, speed."""

import logging
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from rabtriever_core.config import BenchmarkConfig
from rabtriever_core.data.dataset import Dataset
from rabtriever_core.errors import DatasetError
from rabtriever_core.evaluation.latency import Answer, milliseconds_per_query
from rabtriever_core.evaluation.metrics import METRICS, Run, mean_values, per_query, without
from rabtriever_core.evaluation.schema import SYSTEMS, in_order
from rabtriever_core.evaluation.significance import confidence_interval, paired_test, with_holm
from rabtriever_core.evaluation.systems import Ranker

logger = logging.getLogger(__name__)

PAIRS = (
    ("student", "teacher"),
    ("student", "bi_encoder"),
    ("student", "bm25"),
    ("teacher", "bi_encoder"),
)
"""Compared in every benchmark; student and teacher are compared with every further system too."""
TESTED_METRICS = ("MRR@10", "R@1")

SAMPLE_SEED = 17
"""Apart from the seed of a run: runs of several seeds are compared on the same queries."""


def evaluated_queries(
    dataset: Dataset, config: BenchmarkConfig, train_split: str, dev_split: str
) -> dict[str, list[str]]:
    """Query ids per test split; where there are more than wanted, the same sample for all seeds.

    Dev counts as a test split only where there is no other, or where `include_dev` says so.

    Raises:
        DatasetError: there is no split to evaluate on.
    """
    chosen = {}
    for split in dataset.qrels:
        queries = [] if split == train_split else dataset.split_queries(split)
        if queries:
            chosen[split] = sample(queries, config.max_queries, SAMPLE_SEED)
    if len(chosen) > 1 and not config.include_dev:
        chosen.pop(dev_split, None)
    if not chosen:
        raise DatasetError(
            f"data set {dataset.name!r} has no judged queries outside {train_split!r}: add "
            "qrels/dev.tsv or qrels/test.tsv"
        )
    return chosen


def sample(items: Sequence[str], limit: int | None, seed: int) -> list[str]:
    """At most `limit` items in their order; the same ones for the same seed."""
    if limit is None or len(items) <= limit:
        return list(items)
    picked = np.random.default_rng(seed).permutation(len(items))[:limit]
    return [items[i] for i in sorted(picked)]


def rank_systems(
    systems: Mapping[str, Ranker],
    queries: Mapping[str, str],
    left_out: Mapping[str, Collection[str]] = MappingProxyType({}),
    depth: int | None = None,
) -> dict[str, Run]:
    """Let every system rank every query.

    Args:
        systems: they return `most_left_out` documents more than `depth`.
        queries: query id → text.
        left_out: query id → documents that its ranking leaves out (`Dataset.left_out`).
        depth: documents kept per query; all that are ranked when not given.
    """
    runs = {}
    for name, rank in systems.items():
        logger.info("%s ranks %d queries", name, len(queries))
        ranked = dict(zip(queries, rank(list(queries.values())), strict=True))
        runs[name] = without(ranked, left_out, depth)
    return runs


def measure_latency(
    systems: Mapping[str, Ranker], queries: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Milliseconds per query of every system, text in to ranking out, one query at a time."""
    return {
        name: milliseconds_per_query(_one_at_a_time(rank), queries)
        for name, rank in systems.items()
    }


def compare_systems(
    values: Mapping[str, Mapping[str, Mapping[str, float]]], permutations: int, seed: int
) -> list[dict[str, Any]]:
    """Paired tests of student and teacher against the others, not yet corrected.

    Args:
        values: system → metric → query → value.
        permutations: resamples of a test.
        seed: of the resamples.
    """
    further = [name for name in in_order(values) if name not in SYSTEMS]
    pairs = [*PAIRS, *((a, b) for a in ("student", "teacher") for b in further)]
    return [
        paired_test(
            (a, values[a][metric]),
            (b, values[b][metric]),
            metric,
            permutations=permutations,
            seed=seed,
        )
        for metric in TESTED_METRICS
        for a, b in pairs
    ]


def corrected(splits: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Splits with the p-values of all their comparisons corrected together (Holm).

    A report that lists comparisons on several splits, metrics and pairs makes all of them: of
    twenty true nulls one would stand out by chance, whichever split it is on.
    """
    rows = iter(with_holm([row for split in splits.values() for row in split["comparisons"]]))
    return {
        name: split | {"comparisons": [next(rows) for _ in split["comparisons"]]}
        for name, split in splits.items()
    }


def split_result(
    dataset: Dataset,
    split: str,
    runs: Mapping[str, Run],
    latency: Mapping[str, Mapping[str, float]],
    *,
    permutations: int,
    seed: int,
) -> dict[str, Any]:
    """A split's part of `benchmark.json`; the queries are those of the runs."""
    queries = sorted(runs["student"])
    qrels = {query: dataset.qrels[split][query] for query in queries}
    values = {name: per_query(qrels, run) for name, run in runs.items()}
    systems = {
        name: {
            "metrics": mean_values(by_metric),
            "queries": len(queries),
            "ms_per_query": latency[name]["median"],
            "ms_p95": latency[name]["p95"],
            "confidence": {
                metric: confidence_interval(list(by_metric[metric].values()), seed=seed)
                for metric in METRICS
            },
        }
        for name, by_metric in values.items()
    }
    return {
        "systems": systems,
        "comparisons": compare_systems(values, permutations, seed),
    }


def _one_at_a_time(rank: Ranker) -> Answer:
    return lambda query: rank([query])
