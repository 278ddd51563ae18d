"""The served release on a candidate's evaluation data, where it was measured on other data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rabtriever_core.data.dataset import Document, read_dataset
from rabtriever_core.evaluation.metrics import per_query, without
from rabtriever_core.evaluation.results import RUN_DEPTH, Results
from rabtriever_core.evaluation.schema import served_system
from rabtriever_core.evaluation.systems import score_ranker
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.releases.documents import release_documents
from rabtriever_core.releases.record import METRIC, Release
from rabtriever_core.releases.serving import open_release
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from rabtriever_core.models.student import Student


def measured(results: Results) -> dict[str, dict[str, float]]:
    """Split → query → MRR@10 in a benchmark of what applications get.

    Raises:
        ArtifactError: the benchmark's files are damaged or mixed.
    """
    system = served_system(results.benchmark)
    return {split: results.values(split, system)[METRIC] for split in results.queries}


def remeasured(
    workspace: Workspace, served: Release, candidate: Release, asked: Results
) -> dict[str, dict[str, float]]:
    """Split → query → MRR@10 of what the served release answers, on a candidate's queries.

    It ranks the candidate's corpus: over its own it could not find what was added since and would
    still find what was removed, so that it would lose whatever the models are worth. Documents that
    did not change keep their stored vectors, the others are encoded by its own models.

    Args:
        workspace: whose releases.
        served: the release that is served.
        candidate: the one to compare it with.
        asked: the candidate's benchmark.

    Raises:
        ReleaseError: a part of either is missing or damaged.
    """
    opened = open_release(workspace, served)
    (folder,) = check(workspace, candidate, ("validated_dataset",)).values()
    documents = read_dataset(folder, candidate.dataset).documents
    stored = opened.tower.gauge.documents(
        _vectors(workspace, served, documents, opened.tower.student)
    )
    every = (judged for queries in asked.queries.values() for judged in queries.values())
    further = max((len(judged.left_out) for judged in every), default=0)
    lexical = opened.lexical
    index = None if lexical is None else Bm25.fit(documents, lexical.vocabulary.language)

    def scores(texts: Sequence[str]) -> Floats:
        margins = opened.tower.encode(texts).margins(stored)
        if lexical is None or index is None:
            return margins
        return margins + np.float32(lexical.weight) * index.scores(texts)

    rank = score_ranker(
        scores,
        [document.id for document in documents],
        RUN_DEPTH + further,
    )
    values = {}
    for split, queries in asked.queries.items():
        ranked = rank([judged.text for judged in queries.values()])
        left_out = {query: judged.left_out for query, judged in queries.items()}
        run = without(dict(zip(queries, ranked, strict=True)), left_out, RUN_DEPTH)
        values[split] = per_query({q: judged.right for q, judged in queries.items()}, run)[METRIC]
    return values


def _vectors(
    workspace: Workspace,
    release: Release,
    documents: Sequence[Document],
    student: "Student",
) -> np.ndarray:
    """A release's vectors of these documents, before its gauge: float32 [m, d]."""
    own, embeddings = release_documents(workspace, release)
    rows = {document.full_text: row for row, document in enumerate(own.documents)}
    same = [n for n, document in enumerate(documents) if document.full_text in rows]
    others = [n for n, document in enumerate(documents) if document.full_text not in rows]
    found = np.empty((len(documents), student.dimension), dtype=np.float32)
    found[same] = embeddings.vectors(student, [rows[documents[n].full_text] for n in same])
    if others:
        found[others] = student.encode_documents([documents[n] for n in others])
    return found
