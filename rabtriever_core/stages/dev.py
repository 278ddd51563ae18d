"""Dev metrics of a trained model, on a fixed sample: what choices and asset checks rest on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.stages.run import StageContext
from rabtriever_core.training.loop import History, write_history

Score = Callable[[Sequence[str], Sequence[Document]], npt.NDArray[np.float32]]


def trained(
    context: StageContext,
    history: History,
    score: Score,
    *,
    steps: int,
    queries_per_step: int,
    documents_per_query: int,
) -> dict[str, Any]:
    """Write the loss curve; a trained stage's metrics: last loss, budget, and quality on dev.

    The budget is what `BaselinesConfig` calls one: steps, and pairs of a training query and a
    document drawn for it.
    """
    write_history(history, context.output)
    queries = steps * queries_per_step
    return {
        "final_loss": history[-1]["loss"],
        "budget": {"steps": steps, "queries": queries, "pairs": queries * documents_per_query},
        "dev": dev_metrics(context.dataset(), context.settings, score),
    }


def dev_metrics(dataset: Dataset, settings: Settings, score: Score) -> dict[str, Any]:
    """R@k, MRR@10 and nDCG@10 of a scorer over the full pool on dev queries.

    All systems see the same queries: a sample that depends on the data and the seed alone.
    """
    from rabtriever_core.evaluation.metrics import aggregate, run_from_scores

    split = settings.dataset.dev_split
    queries = dataset.split_queries(split)
    limit = settings.benchmark.dev_queries
    if len(queries) > limit:
        rng = np.random.default_rng([settings.runtime.seed, 6])
        queries = sorted(rng.choice(queries, limit, replace=False).tolist())
    scores = score([dataset.queries[q] for q in queries], dataset.documents)
    run = run_from_scores(
        queries, [d.id for d in dataset.documents], scores, settings.benchmark.depth
    )
    qrels = {query: dataset.qrels[split][query] for query in queries}
    return aggregate(qrels, run) | {"queries": len(queries)}
