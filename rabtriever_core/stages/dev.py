"""Dev metrics of a trained model, on a fixed sample: what choices and asset checks rest on."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset, Document, Qrels
from rabtriever_core.models.precision import precision_of
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.stages.context import StageContext
from rabtriever_core.training.budget import Budget
from rabtriever_core.training.history import History, write_history

Score = Callable[[Sequence[str], Sequence[Document]], npt.NDArray[np.float32]]


def trained(
    context: StageContext,
    history: History,
    score: Score,
    budget: Budget | None,
    encoder: TextEncoder,
) -> dict[str, Any]:
    """A stage's metrics: quality on dev, and where it trained its budget, last loss and precision.

    Writes the loss curve. A model that is taken as it is has neither history nor budget.
    """
    metrics: dict[str, Any] = {"dev": dev_metrics(context.dataset(), context.settings, score)}
    if budget is not None:
        write_history(history, context.output)
        precision = precision_of(encoder.model.dtype, encoder.device, mixed=encoder.mixed_precision)
        metrics |= {"budget": asdict(budget), "final_loss": history[-1]["loss"]}
        metrics["precision"] = precision
    return metrics


def dev_metrics(dataset: Dataset, settings: Settings, score: Score) -> dict[str, Any]:
    """R@k, MRR@10 and nDCG@10 of a scorer on dev queries.

    All systems see the same queries and the same documents: samples that depend on the data, the
    seed, and how large `benchmark.dev_queries` and `.dev_documents` make them. Every relevant
    document is among them.

    Those two are left out of the stages' sections on purpose: a larger sample is no reason to train
    for hours again what already is there. So a system that was trained before they changed keeps
    the figures of the sample it was measured on; their sizes are written beside them.
    """
    from rabtriever_core.evaluation.metrics import (
        aggregate,
        most_left_out,
        run_from_scores,
        without,
    )

    split = settings.dataset.dev_split
    queries = dev_queries(dataset, settings)
    qrels = {query: dataset.qrels[split][query] for query in queries}
    documents = _documents(dataset, qrels, settings)
    scores = score([dataset.queries[q] for q in queries], documents)
    depth, left_out = settings.benchmark.depth, dataset.left_out
    further = most_left_out(left_out, queries)
    run = run_from_scores(queries, [d.id for d in documents], scores, depth + further)
    run = without(run, left_out, depth)
    return aggregate(qrels, run) | {"queries": len(queries), "documents": len(documents)}


def dev_queries(dataset: Dataset, settings: Settings) -> list[str]:
    """Ids of the dev queries that trained systems are measured on: all, or a fixed sample."""
    queries = dataset.split_queries(settings.dataset.dev_split)
    limit = settings.benchmark.dev_queries
    if len(queries) > limit:
        rng = np.random.default_rng([settings.runtime.seed, 6])
        queries = sorted(rng.choice(queries, limit, replace=False).tolist())
    return queries


def _documents(dataset: Dataset, qrels: Qrels, settings: Settings) -> list[Document]:
    """All documents of a small corpus; of a large one the judged ones and a sample of the rest."""
    judged = {document for labels in qrels.values() for document in labels}
    rest = [d.id for d in dataset.documents if d.id not in judged]
    wanted = max(0, settings.benchmark.dev_documents - len(judged))
    if len(rest) > wanted:
        rng = np.random.default_rng([settings.runtime.seed, 8])
        rest = rng.choice(rest, wanted, replace=False).tolist()
    kept = judged.union(rest)
    return [d for d in dataset.documents if d.id in kept]
