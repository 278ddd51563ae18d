"""BM25 beside the student: the weight that dev chooses, and what the report says of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset
from rabtriever_core.evaluation.benchmark import SAMPLE_SEED, sample
from rabtriever_core.evaluation.hybrid import MAX_QUERIES, choose_weight
from rabtriever_core.evaluation.systems import Ranker, score_ranker
from rabtriever_core.index.lexical import Lexical
from rabtriever_core.index.query_tower import QueryEncoder, QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.stages.context import StageContext

if TYPE_CHECKING:
    from rabtriever_core.models.student import Student


def bm25_choice(
    dataset: Dataset,
    settings: Settings,
    student: "Student",
    vectors: Floats,
    index: Bm25,
) -> dict[str, Any]:
    """The weight of BM25 beside the student that dev chooses; see `evaluation.hybrid`.

    Args:
        dataset: documents and judgements.
        settings: the dev split, and the seed.
        student: its queries.
        vectors: the student's, of all documents.
        index: of the same documents.
    """
    split = settings.dataset.dev_split
    queries = sample(dataset.split_queries(split), MAX_QUERIES, SAMPLE_SEED)
    # Without the queries' offsets: what is added to all documents of a query ranks none higher.
    scores = (lambda texts: student.encode_queries(texts) @ vectors.T), index.scores
    return choose_weight(dataset, split, queries, scores, settings.runtime.seed)


def bm25_result(
    context: StageContext,
    tower: QueryTower,
    embeddings: StoredDocuments,
    index: Bm25,
    lexical: Lexical | None,
) -> dict[str, Any]:
    """What the report says: the weight that is served, else the one that dev would choose."""
    settings = context.settings
    choice = context.inputs["qdrant_collection"].meta.metrics.get("bm25", {})
    if "metrics" not in choice:
        vectors = embeddings.vectors(tower.student)
        choice = bm25_choice(context.dataset(), settings, tower.student, vectors, index)
    return {
        "weight": choice["weight"] if lexical is None else lexical.weight,
        "served": lexical is not None,
        "dev_split": settings.dataset.dev_split,
        "dev": choice,
    }


def beside(
    encoder: QueryEncoder, stored: Floats, ids: list[str], index: Bm25, weight: float, depth: int
) -> Ranker:
    """Student and BM25 over all documents, compared here: the collection has no BM25."""

    def scores(texts: Sequence[str]) -> Floats:
        return encoder.encode(texts).margins(stored) + np.float32(weight) * index.scores(texts)

    return score_ranker(scores, ids, depth)
