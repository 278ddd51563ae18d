"""Two-stage answers: what the teacher's reading of the student's first documents gains and costs.

The teacher is asked where the student's best document is less probable than a threshold. A query is
answered in one of two ways, so every threshold's metrics are means over the same two values.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.data.dataset import Document, Qrels
from rabtriever_core.evaluation.benchmark import SAMPLE_SEED, sample
from rabtriever_core.evaluation.latency import milliseconds_per_query
from rabtriever_core.evaluation.metrics import Run, mean_values, per_query, ranking
from rabtriever_core.evaluation.significance import confidence_interval
from rabtriever_core.evaluation.systems import completed
from rabtriever_core.models.probability import Calibration

if TYPE_CHECKING:
    from rabtriever_core.models.base_reranker import Reranker

MAX_QUERIES = 150
"""Of a split, where the teacher has to read pairs that it has not read yet."""
MAX_PAIRS = 30_000
"""That it reads for a split; fewer queries are measured where documents are many."""
SHOWN_METRICS = ("R@1", "MRR@10", "nDCG@10")

_QUANTILES = np.linspace(0, 1, 11)[1:-1]


def two_stage_result(
    splits: Mapping[str, dict[str, Any]],
    dev: tuple[str, dict[str, Any]],
    *,
    depth: int,
    rerank_depth: int,
    rerank_below: float,
    student_ms: float,
    rerank_ms: float,
) -> dict[str, Any]:
    """The part of `benchmark.json`, with a threshold chosen on dev.

    Args:
        splits: split → `curve`.
        dev: name and `curve` of the split that choices are made on.
        depth: documents that the teacher read.
        rerank_depth: documents that it reads for an application.
        rerank_below: threshold that `rerank: auto` has.
        student_ms: milliseconds per query of the student alone.
        rerank_ms: what reranking adds to that.
    """
    name, of_dev = dev
    return {
        "depth": depth,
        "rerank_depth": rerank_depth,
        "rerank_below": rerank_below,
        "student_ms": student_ms,
        "rerank_ms": rerank_ms,
        "splits": dict(splits),
        "dev_split": name,
        "dev": of_dev,
        "suggested_below": suggested_threshold(of_dev["points"]),
    }


def reranked(
    student: Mapping[str, float], teacher: Mapping[str, float], depth: int
) -> dict[str, float]:
    """One query's documents as an application gets them; the scores are ranks, negated.

    The first `depth` by the teacher's margin, equal ones by id; the others after them.
    """
    ranked = ranking(student)
    first = sorted(ranked[:depth], key=lambda document: (-teacher[document], document))
    return {d: -float(rank) for rank, d in enumerate([*first, *ranked[depth:]])}


def first_margins(
    teacher: "Reranker",
    documents: Sequence[Document],
    student: Run,
    known: Run,
    texts: Mapping[str, str],
    depth: int,
) -> Run:
    """The teacher's margins of the student's first documents: query → document → margin.

    Of all queries where they are known already. Else the teacher reads what is missing, for a fixed
    sample of the queries, so that the time is bounded.

    Args:
        teacher: the model.
        documents: the pool.
        student: its rankings.
        known: margins that the teacher gave before; documents and whole queries may be missing.
        texts: query → its text.
        depth: documents per query.
    """
    first = {query: ranking(scores)[:depth] for query, scores in student.items()}
    margins = {query: known.get(query, {}) for query in first}
    if any(d not in margins[query] for query, ids in first.items() for d in ids):
        chosen = sample(list(first), min(MAX_QUERIES, max(1, MAX_PAIRS // depth)), SAMPLE_SEED)
        first = {query: first[query] for query in chosen}
        margins = completed(teacher, documents, margins, first, texts)
    return {query: {d: margins[query][d] for d in ids} for query, ids in first.items()}


def rerank_milliseconds(
    teacher: "Reranker",
    documents: Sequence[Document],
    student: Run,
    texts: Mapping[str, str],
    queries: Sequence[str],
    depth: int,
) -> float:
    """Median time in which the teacher reads a query with the student's first documents.

    One query at a time, from texts to margins, every document read anew: the most that applications
    wait, who are spared that for documents read before (`serving.prefix_cache_mib`).

    Raises:
        ValueError: there are no queries.
    """
    by_id = {d.id: d for d in documents}
    first = {q: [by_id[id_] for id_ in ranking(student[q])[:depth]] for q in queries}

    def answer(query: str) -> object:
        candidates = np.arange(len(first[query]))[None]
        return teacher.candidate_margins([texts[query]], first[query], candidates, None)

    return milliseconds_per_query(answer, queries)["median"]


def curve(
    qrels: Qrels,
    student: Run,
    teacher: Run,
    calibration: Calibration,
    *,
    depth: int,
    rerank_below: float,
    student_ms: float,
    rerank_ms: float,
    seed: int,
) -> dict[str, Any]:
    """Metrics and time of two-stage answers from never asking the teacher to always asking it.

    Args:
        qrels: of the split.
        student: its rankings, of the teacher's queries at least.
        teacher: query → document → margin, of the student's first `depth` documents.
        calibration: gives the probability of the student's best document.
        depth: documents that the teacher reads.
        rerank_below: threshold of the point `auto`; the others are deciles of the probabilities.
        student_ms: milliseconds per query of the student alone.
        rerank_ms: what reranking adds to that.
        seed: of the resamples for the intervals.
    """
    judged = {query: qrels[query] for query in teacher}
    alone = per_query(judged, {query: student[query] for query in teacher})
    read = per_query(judged, {q: reranked(student[q], teacher[q], depth) for q in teacher})
    queries = list(alone["MRR@10"])
    best = calibration.probabilities([max(student[query].values()) for query in queries])
    points = []
    for threshold, role in _thresholds(best, rerank_below):
        # `always` is what an application gets by `rerank: true`, however sure the student is.
        asked = np.full(len(best), True) if role == "always" else best < threshold
        points.append(
            _point(alone, read, dict(zip(queries, asked.tolist(), strict=True)), seed)
            | {"threshold": threshold, "ms": student_ms + float(asked.mean()) * rerank_ms}
            | ({"role": role} if role else {})
        )
    return {"queries": len(queries), "points": points}


def suggested_threshold(points: Sequence[Mapping[str, Any]]) -> float:
    """The threshold with the highest MRR@10, of equal ones the one that asks least.

    0, so that the teacher is never asked, where its 95% interval does not lie above the student
    alone. That of the best of a dozen is too narrow rather than too wide.
    """
    best = min(points, key=lambda point: (-point["metrics"]["MRR@10"], point["share"]))
    clear = best.get("gain_interval", (0.0, 0.0))[0] > 0
    return float(best["threshold"]) if clear else 0.0


def _thresholds(best: NDArray[np.floating], below: float) -> list[tuple[float, str]]:
    """(threshold, role) in rising order; those that separate no probabilities are left out."""
    deciles = {round(float(value), 6) for value in np.quantile(best, _QUANTILES)}
    inner = [(value, "") for value in deciles if 0 < value < 1 and value != below]
    return [(0.0, "never"), *sorted([*inner, (below, "auto")]), (1.0, "always")]


def _point(
    alone: Mapping[str, Mapping[str, float]],
    read: Mapping[str, Mapping[str, float]],
    asked: Mapping[str, bool],
    seed: int,
) -> dict[str, Any]:
    mixed = {
        metric: {q: (read if asked[q] else alone)[metric][q] for q in asked}
        for metric in SHOWN_METRICS
    }
    point: dict[str, Any] = {
        "share": float(np.mean(list(asked.values()))),
        "metrics": mean_values(mixed),
    }
    # Where nobody is asked there is no difference, and no doubt about it.
    if any(asked.values()):
        gains = [mixed["MRR@10"][q] - alone["MRR@10"][q] for q in asked]
        point["gain"] = float(np.mean(gains))
        point["gain_interval"] = confidence_interval(gains, bounds=(-1.0, 1.0), seed=seed)
    return point
