"""Stage: the probability that a margin stands for, and when nothing fits; fitted on dev.

A stage of its own, between the student and whoever shows its margins: another setting here neither
distils the student again nor builds the collection again, and queries need no benchmark.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.evaluation.calibration import calibrate, gather
from rabtriever_core.evaluation.calibration_result import abstention_result, pair_result
from rabtriever_core.evaluation.metrics import most_left_out, without
from rabtriever_core.evaluation.systems import score_ranker
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.stages.context import StageContext


def make(context: StageContext) -> dict[str, Any]:
    """Fit on all judged dev queries; returns what was fitted and how well it fits dev.

    Raises:
        DatasetError: there is no dev split.
        ModelError: the fit did not converge.
    """
    from rabtriever_core.models.student import Student

    settings, dataset, inputs = context.settings, context.dataset(), context.inputs
    config, split = settings.calibration, settings.dataset.dev_split
    student = Student.load(inputs["student"].folder, inputs["teacher"].folder, settings.runtime)
    documents = StoredDocuments.open(inputs["document_embeddings"].folder)
    vectors = documents.vectors(student)
    queries = dataset.split_queries(split)
    relevant = {query: dataset.relevant(split, query) for query in queries}
    # Deep enough to find the best wrong document of every query.
    depth = max(config.documents_per_query, *map(len, relevant.values())) + 1
    further = most_left_out(dataset.left_out, queries)

    def margins(texts: Sequence[str]) -> NDArray[np.float32]:
        phi, offsets = student.encode_queries_with_offsets(texts)
        scores: NDArray[np.float32] = phi @ vectors.T + offsets[:, None]
        return scores

    rank = score_ranker(margins, documents.ids, depth + further)
    run = dict(zip(queries, rank([dataset.queries[query] for query in queries]), strict=True))
    run = without(run, dataset.left_out, depth)
    evidence = gather(run, relevant, config.documents_per_query)
    calibration = calibrate(evidence, config)
    calibration.save(context.output)
    return {
        "method": config.method,
        **calibration.model_dump(),
        "pairs": _figures(pair_result(evidence, calibration)),
        "queries": _figures(abstention_result(evidence, calibration)),
    }


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """The numbers without the curves, rounded."""
    return {
        name: _figures(value) if isinstance(value, dict) else round(value, 6)
        for name, value in result.items()
        if isinstance(value, int | float | dict)
    }
