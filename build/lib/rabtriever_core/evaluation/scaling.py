"""Response time against document length, on documents made for it."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.evaluation.latency import Answer, response_time_curve
from rabtriever_core.evaluation.systems import teacher_ranker, vector_ranker
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student

logger = logging.getLogger(__name__)

POOL = 16
"""Documents of every length."""


def measure_response_time(
    teacher: GenerativeReranker,
    student: Student,
    documents: Sequence[Document],
    queries: Sequence[str],
    lengths: Sequence[int],
    seed: int,
) -> list[dict[str, float]]:
    """Time teacher and student over pools of documents of every length.

    Lengths that do not fit the backbone's context together with a query are left out.
    """
    limit = _longest_document(teacher.backbone)
    fitting = sorted(length for length in lengths if length <= limit)
    if len(fitting) < len(lengths):
        logger.warning(
            "document lengths above %d tokens do not fit the backbone's context: not timed", limit
        )
    if not fitting:
        return []
    longest = fitting[-1]
    words = [word for document in documents for word in document.full_text.split()]
    rng = np.random.default_rng(seed)
    # A word is a token at least, so `longest` words are enough; the prompt cuts what is beyond.
    pool = [
        Document(str(number), " ".join(words[i] for i in rng.integers(len(words), size=longest)))
        for number in range(POOL)
    ]

    vectors = student.encode_documents(pool)

    def teacher_answers(length: int) -> Answer:
        backbone = _cut_at(teacher.backbone, length)
        encoder = None if teacher.encoder is teacher.backbone else teacher.encoder
        cut = GenerativeReranker(backbone, teacher.cosine_scale, encoder)
        rank = teacher_ranker(cut, pool, POOL)
        return lambda query: rank([query])

    def student_answers(length: int) -> Answer:
        # It never meets a document when it is asked: their length cannot matter.
        rank = vector_ranker(student.encode_queries, [d.id for d in pool], vectors, POOL)
        return lambda query: rank([query])

    return response_time_curve(teacher_answers, student_answers, fitting, queries)


def _longest_document(backbone: Backbone) -> int:
    spec = backbone.prompt.spec
    fixed = (spec.start, spec.document_prefix, spec.document_suffix)
    query = (spec.query_prefix, spec.answer_suffix)
    return backbone.max_tokens - spec.max_query_tokens - sum(map(len, fixed + query))


def _cut_at(backbone: Backbone, tokens: int) -> Backbone:
    """The same model with a prompt that cuts documents at this length."""
    spec = replace(backbone.prompt.spec, max_document_tokens=tokens)
    return Backbone(backbone.model, Prompt(spec, backbone.prompt.tokenizer))
