"""Stage: the probability that a margin stands for, and when nothing fits; fitted on dev.

A stage of its own, between the student and whoever shows its margins: another setting here neither
distils the student again nor builds the collection again, and queries need no benchmark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.evaluation.benchmark import SAMPLE_SEED, sample
from rabtriever_core.evaluation.calibration import calibrate, fit_sigmoid, gather
from rabtriever_core.evaluation.calibration_result import abstention_result, pair_result
from rabtriever_core.evaluation.metrics import most_left_out, ranking, without
from rabtriever_core.evaluation.systems import completed, score_ranker
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.probability import Scale
from rabtriever_core.stages.context import StageContext

TEACHER_QUERIES = 100
"""Dev queries whose best documents the teacher reads, to fit what its margins mean."""


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
    calibration = calibration.model_copy(update={"teacher": _teacher_scale(context, run, relevant)})
    calibration.save(context.output)
    return {
        "method": config.method,
        **calibration.model_dump(),
        "pairs": _figures(pair_result(evidence, calibration)),
        "queries": _figures(abstention_result(evidence, calibration)),
    }


def _teacher_scale(
    context: StageContext, run: Mapping[str, Mapping[str, float]], relevant: Mapping[str, set[str]]
) -> Scale:
    """Fit the teacher's margins of the student's first documents, for a sample of dev queries."""
    from rabtriever_core.models.reranker import GenerativeReranker

    config, dataset = context.settings.calibration, context.dataset()
    teacher = GenerativeReranker.load(context.inputs["teacher"].folder, context.settings.runtime)
    asked = sample(list(run), TEACHER_QUERIES, SAMPLE_SEED)
    best = {query: ranking(run[query])[: config.documents_per_query] for query in asked}
    read = completed(teacher, dataset.documents, {q: {} for q in asked}, best, dataset.queries)
    pairs = [(query, document) for query in asked for document in best[query]]
    margins = np.array([read[query][document] for query, document in pairs])
    right = np.array([document in relevant[query] for query, document in pairs])
    slope, bias = fit_sigmoid(margins, right, bias=config.method == "platt")
    return Scale(slope=slope, bias=bias)


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """The numbers without the curves, rounded."""
    return {
        name: _figures(value) if isinstance(value, dict) else round(value, 6)
        for name, value in result.items()
        if isinstance(value, int | float | dict)
    }
