"""The systems that `baselines.systems` names, as rankers."""

from collections.abc import Sequence
from pathlib import Path

from rabtriever_core.config import Baseline, Settings
from rabtriever_core.data.dataset import Document
from rabtriever_core.evaluation.systems import (
    Ranker,
    reranker,
    score_ranker,
    teacher_ranker,
    vector_ranker,
)
from rabtriever_core.lab.baselines.linear_reranker import LinearReranker
from rabtriever_core.lab.baselines.minilm import MiniLm
from rabtriever_core.lab.baselines.pool_classifier import PoolClassifier
from rabtriever_core.training.bi_encoder import BiEncoder


def further_rankers(
    folder: Path,
    settings: Settings,
    documents: Sequence[Document],
    retrieve: Ranker | None,
    candidates: int,
) -> dict[str, Ranker]:
    """Rankers of all named systems; documents are embedded here, before anything is timed.

    Args:
        folder: the baselines artifact.
        settings: names the systems.
        documents: the pool.
        retrieve: whose results rerankers rank; the whole pool without it.
        candidates: how many of its results.

    Raises:
        ConfigError: MiniLM is named and its weights are not installed.
    """
    return {
        name: _ranker(name, folder / name, settings, documents, retrieve, candidates)
        for name in settings.baselines.systems
    }


def _ranker(
    name: Baseline,
    folder: Path,
    settings: Settings,
    documents: Sequence[Document],
    retrieve: Ranker | None,
    candidates: int,
) -> Ranker:
    runtime, depth = settings.runtime, settings.benchmark.depth
    ids = [document.id for document in documents]
    if name == "linear_reranker":
        linear = LinearReranker.load(folder, runtime)
        if retrieve is not None:
            return reranker(linear, documents, retrieve, candidates)
        return teacher_ranker(linear, documents, depth)
    if name == "pool_classifier":
        classifier = PoolClassifier.load(
            folder, documents, settings.baselines.pool_question, runtime
        )
        return score_ranker(classifier.scores, ids, depth)
    encoder = MiniLm.load(runtime) if name == "minilm" else BiEncoder.load(folder, runtime)
    return vector_ranker(encoder.encode_queries, ids, encoder.encode_documents(documents), depth)
