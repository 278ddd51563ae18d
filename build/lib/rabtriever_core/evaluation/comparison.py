"""Two benchmarks of the same data side by side: metrics, significance, queries won and lost."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rabtriever_core.errors import ArtifactError, ConfigError
from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.significance import confidence_interval, paired_test, with_holm

SORTING_METRIC = "MRR@10"
"""By which queries are won or lost unless another metric is asked for."""


def compare(
    a: Results,
    b: Results,
    *,
    system: str = "student",
    split: str | None = None,
    metric: str | None = None,
    permutations: int = 10_000,
    seed: int = 17,
) -> dict[str, Any]:
    """What changed from run A to run B, on the same queries.

    Args:
        a: the one compared with.
        b: the one of interest; differences are B − A, queries are won or lost by B.
        system: one of both runs, or `all`.
        split: one of both runs; all of them, which must be the same, when unset.
        metric: the one to compare and to sort queries by; when unset all are compared, and
            queries sorted by MRR@10.
        permutations: resamples of the paired randomization test.
        seed: of the resamples.

    Returns:
        a and b (folders), dataset, metrics: rows of split, system, metric, queries, a, b,
        difference, interval (95%, of the difference), p_value, p_value_holm (corrected for all
        rows) and test; queries: rows of split, system, query, text, metric, outcome, a, b and
        right: rows of id, title, rank_a and rank_b (None beyond rank ten), ordered by how much
        they changed; level: split → system → queries that did not change.

    Raises:
        ArtifactError: the runs are of different data or different queries.
        ConfigError: there is no such system, split or metric in both.
    """
    check_same_data(a, b)
    systems = _named("system", system, a.systems, b.systems)
    splits = _splits(a, b, split)
    if metric is not None and metric not in METRICS:
        raise ConfigError(f"no metric {metric!r}; there are {', '.join(METRICS)}")
    sorting = metric or SORTING_METRIC
    rows, queries = [], []
    level: dict[str, dict[str, int]] = {}
    for name in splits:
        check_same_queries(a, b, name)
        for each in systems:
            before, after = a.values(name, each), b.values(name, each)
            rows += [
                {"split": name, "system": each}
                | _difference(m, before[m], after[m], permutations, seed)
                for m in ([metric] if metric else METRICS)
            ]
            changed = _changed(a, b, name, each, sorting)
            queries += changed
            level.setdefault(name, {})[each] = len(before[sorting]) - len(changed)
    return {
        "a": str(a.folder),
        "b": str(b.folder),
        "dataset": {key: a.benchmark["dataset"][key] for key in ("name", "fingerprint")},
        "metrics": with_holm(rows),
        "queries": queries,
        "level": level,
    }


def _difference(
    metric: str, a: dict[str, float], b: dict[str, float], permutations: int, seed: int
) -> dict[str, Any]:
    tested = paired_test(("B", b), ("A", a), metric, permutations=permutations, seed=seed)
    differences = [b[query] - a[query] for query in sorted(a)]
    return {
        "metric": metric,
        "queries": len(a),
        "a": float(np.mean(list(a.values()))),
        "b": float(np.mean(list(b.values()))),
        "difference": tested["difference"],
        "interval": confidence_interval(differences, bounds=(-1.0, 1.0), seed=seed),
        "p_value": tested["p_value"],
        "test": tested["test"],
    }


def _changed(a: Results, b: Results, split: str, system: str, metric: str) -> list[dict[str, Any]]:
    """Queries whose value differs, those that changed most first."""
    before, after = a.values(split, system)[metric], b.values(split, system)[metric]
    ranks = [_ranks(results, split, system) for results in (a, b)]
    rows = []
    for query in sorted(before, key=lambda q: (-abs(after[q] - before[q]), q)):
        if before[query] == after[query]:
            continue
        judged = a.queries[split][query]
        rows.append(
            {
                "split": split,
                "system": system,
                "query": query,
                "text": judged.text,
                "metric": metric,
                "outcome": "won" if after[query] > before[query] else "lost",
                "a": before[query],
                "b": after[query],
                "right": [
                    {
                        "id": document,
                        "title": judged.titles[document],
                        "rank_a": ranks[0].get((query, document)),
                        "rank_b": ranks[1].get((query, document)),
                    }
                    for document in judged.right
                ],
            }
        )
    return rows


def _ranks(results: Results, split: str, system: str) -> dict[tuple[str, str], int]:
    return {
        (query, document): round(-score)
        for query, scores in results.run(split, system).items()
        for document, score in scores.items()
    }


def check_same_data(a: Results, b: Results) -> None:
    """Refuse runs on different data.

    Raises:
        ArtifactError: names both data sets.
    """
    facts = [results.benchmark["dataset"] for results in (a, b)]
    if facts[0]["fingerprint"] != facts[1]["fingerprint"]:
        raise ArtifactError(
            f"{a.folder} and {b.folder} are of different data: {facts[0]['name']!r} "
            f"({facts[0]['fingerprint'][:16]}…) and {facts[1]['name']!r} "
            f"({facts[1]['fingerprint'][:16]}…); only runs on the same data set can be compared"
        )


def check_same_queries(a: Results, b: Results, split: str) -> None:
    """Refuse runs that answered different queries of a split.

    Raises:
        ArtifactError: names some that only one answered.
    """
    queries = [set(results.queries[split]) for results in (a, b)]
    if queries[0] != queries[1]:
        only = sorted(queries[0] ^ queries[1])
        raise ArtifactError(
            f"{a.folder} and {b.folder} answered different queries of split {split!r} "
            f"({len(queries[0])} and {len(queries[1])}, differing in {only[:3]}): run both with "
            "the same benchmark.max_queries"
        )


def _splits(a: Results, b: Results, wanted: str | None) -> list[str]:
    found = [list(results.benchmark["splits"]) for results in (a, b)]
    if wanted is not None:
        return _named("split", wanted, *found)
    if set(found[0]) != set(found[1]):
        raise ArtifactError(
            f"{a.folder} has the splits {', '.join(found[0])}, {b.folder} has "
            f"{', '.join(found[1])}: choose one that both have with --split"
        )
    return found[0]


def _named(kind: str, wanted: str, a: Sequence[str], b: Sequence[str]) -> list[str]:
    """The wanted one, or all, of those that both runs have."""
    both = [name for name in a if name in b]
    if wanted == "all" and kind == "system":
        return both
    if wanted not in both:
        raise ConfigError(f"no {kind} {wanted!r} in both runs; they share {', '.join(both)}")
    return [wanted]
