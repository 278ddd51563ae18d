"""Ranking metrics with ir-measures, and rankings from score matrices."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.data.dataset import Qrels
from rabtriever_core.errors import VectorError
from rabtriever_core.index.ranking import top_positions

Run = dict[str, dict[str, float]]
"""Query id → document id → score. Its ranking is by score, highest first; equal scores rank by
document id, ascending."""

METRICS = ("R@1", "R@3", "R@5", "R@10", "MRR@10", "nDCG@10")
"""R@k is recall; MRR@10 counts a first right document below rank ten as 0; nDCG has linear
gains."""


def ranking(scores: Mapping[str, float]) -> list[str]:
    """Document ids by (score descending, id ascending)."""
    return sorted(scores, key=lambda document: (-scores[document], document))


def run_from_scores(
    queries: Sequence[str], ids: Sequence[str], scores: NDArray[np.floating], depth: int
) -> Run:
    """Keep the best documents of every query.

    Args:
        queries: n query ids.
        ids: m document ids.
        scores: [n, m].
        depth: documents kept per query; ties at the cut go to the smaller id.

    Raises:
        ValueError: the shape of `scores` does not fit, or `depth` is below 1.
        VectorError: a score is not finite.
    """
    if scores.shape != (len(queries), len(ids)):
        raise ValueError(
            f"scores have shape {scores.shape}, expected ({len(queries)}, {len(ids)}): one row "
            "per query, one column per document"
        )
    if depth < 1:
        raise ValueError(f"depth is {depth}, must be at least 1")
    # With the columns in order of id, a stable sort by score leaves ties in order of id.
    columns = sorted(range(len(ids)), key=ids.__getitem__)
    run: Run = {}
    for query, row in zip(queries, scores, strict=True):
        if not np.isfinite(row).all():
            bad = ids[int(np.flatnonzero(~np.isfinite(row))[0])]
            raise VectorError(
                f"the score of document {bad!r} for query {query!r} is not finite: the model that "
                "gave it is damaged or diverged in training"
            )
        by_id = row[columns]
        best = top_positions(by_id, depth)
        run[query] = {ids[columns[i]]: float(by_id[i]) for i in best}
    return run


def per_query(qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    """Metric → query → value in 0..1, over the queries with at least one relevant document.

    A query missing from the run counts 0; queries of the run without judgements are ignored.

    Raises:
        ValueError: no query has a relevant document.
    """
    import ir_measures

    judged = {query: labels for query, labels in qrels.items() if max(labels.values()) > 0}
    if not judged:
        raise ValueError("no query has a relevant document: nothing to evaluate")
    measures = {
        ir_measures.parse_measure(name.replace("MRR", "RR")): name for name in METRICS
    }  # "MRR" without a cut-off would be another measure
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(judged, 0.0) for name in METRICS}
    ranked = {query: _rank_scores(run[query]) for query in judged if query in run}
    for result in ir_measures.iter_calc(list(measures), judged, ranked):
        values[measures[result.measure]][result.query_id] = float(result.value)
    return values


def aggregate(qrels: Qrels, run: Run) -> dict[str, float]:
    """Metric → mean over the judged queries, in 0..1.

    Raises:
        ValueError: no query has a relevant document.
    """
    return mean_values(per_query(qrels, run))


def mean_values(values: dict[str, dict[str, float]]) -> dict[str, float]:
    """Metric → mean of what `per_query` gave."""
    return {name: math.fsum(v.values()) / len(v) for name, v in values.items()}


def without(run: Run, left_out: Mapping[str, Collection[str]], depth: int | None) -> Run:
    """Every query's best `depth` documents but for those that its ranking leaves out.

    Args:
        run: its rankings are longer than `depth` by `most_left_out`, or hold all documents.
        left_out: query → documents; see `Dataset.left_out`.
        depth: documents kept per query; None for all.
    """
    kept = {}
    for query, scores in run.items():
        away = left_out.get(query, ())
        best = [document for document in ranking(scores) if document not in away][:depth]
        kept[query] = {document: scores[document] for document in best}
    return kept


def most_left_out(left_out: Mapping[str, Collection[str]], queries: Iterable[str]) -> int:
    """How many documents the rankings of these queries leave out at most."""
    return max((len(left_out.get(query, ())) for query in queries), default=0)


def first_right_rank(scores: Mapping[str, float], right: set[str]) -> int | None:
    """Rank (from 1) of the first right document of a ranking; None when there is none."""
    ranks = (rank for rank, document in enumerate(ranking(scores), 1) if document in right)
    return next(ranks, None)


def _rank_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores that fall by one per rank.

    trec_eval breaks ties by descending id and after rounding to float32, ir-measures' MRR by
    ascending id: without ties all agree.
    """
    return {document: -float(rank) for rank, document in enumerate(ranking(scores))}
