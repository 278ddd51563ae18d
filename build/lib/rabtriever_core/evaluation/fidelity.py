"""How close a graph index is to the student's ranking, and the student to the teacher."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import IndexUnavailableError
from rabtriever_core.index.hnsw import hnsw_recall
from rabtriever_core.models.arrays import Floats

if TYPE_CHECKING:
    from rabtriever_core.models.reranker import GenerativeReranker
    from rabtriever_core.models.student import Student

_TOP = 10
_HNSW_QUERIES = 500
_QUERIES, _DOCUMENTS = 48, 16
"""Of the margins that are plotted; the teacher reads every pair."""


def graph_recall(vectors: Floats, query_vectors: Floats) -> dict[str, Any]:
    """Recall@10 of an HNSW graph on these vectors, or a note why it was not measured."""
    try:
        result = hnsw_recall(vectors, query_vectors[:_HNSW_QUERIES], _TOP)
    except IndexUnavailableError as error:
        return {"hnsw_note": str(error)}
    return {"hnsw_recall@10": result[f"recall@{_TOP}"]}


def sampled_margins(
    student: "Student",
    teacher: "GenerativeReranker",
    documents: Sequence[Document],
    texts: Sequence[str],
    seed: int,
) -> tuple[Floats, Floats]:
    """Student's and teacher's margins of the same random pairs, both [n, m]."""
    rng = np.random.default_rng(seed)
    queries = [texts[i] for i in rng.permutation(len(texts))[:_QUERIES]]
    pool = [documents[i] for i in rng.permutation(len(documents))[:_DOCUMENTS]]
    return student.margin(queries, pool), teacher.margins(queries, pool)
