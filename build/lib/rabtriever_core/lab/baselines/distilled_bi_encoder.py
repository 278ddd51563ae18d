"""Baseline: the bi-encoder distilled from the teacher's scores (MarginMSE, KL).

What sentence-transformers offers as MarginMSELoss and DistillKLDivLoss, with the bi-encoder's
cosine over temperature as its score. Unlike the student, query and document sides are both trained,
so that a better query tower needs new document vectors, and the candidates are drawn once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rabtriever_core.config import TeacherConfig
from rabtriever_core.errors import DatasetError
from rabtriever_core.lab.baselines.fine_tuning import Plan, fine_tune
from rabtriever_core.models.arrays import to_device
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.losses import cosine_matrix
from rabtriever_core.training.negatives import mine
from rabtriever_core.training.steps import queries_met, start_step, step_generator
from rabtriever_core.training.stored import Arrays, stored_arrays

ScoreLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(student's scores, teacher's) of a positive in the first column and other candidates: [n, k]."""


@dataclass(frozen=True)
class ScoredCandidates:
    """Candidates of the training queries, scored once by the teacher."""

    queries: npt.NDArray[np.int64]
    """Numbers of the queries that training meets [n], sorted."""
    documents: npt.NDArray[np.int64]
    """Document numbers [n, k], a relevant one first."""
    margins: npt.NDArray[np.float32]
    """The teacher's [n, k]."""


def train_distilled_bi_encoder(
    backbone: Backbone,
    teacher: GenerativeReranker,
    examples: Examples,
    loss: ScoreLoss,
    temperature: float,
    plan: Plan,
    label: str,
) -> History:
    """Train the backbone (in place) to score candidates as the teacher does.

    Args:
        backbone: becomes the bi-encoder.
        teacher: frozen.
        examples: training queries and corpus.
        loss: of the bi-encoder's scores against the teacher's margins.
        temperature: the bi-encoder's score is cosine / temperature.
        plan: what it shares with the teacher's training.
        label: names the progress bar.
    """
    config, seed = plan.teacher, plan.runtime.seed
    schedule = config.schedule

    def score() -> Arrays:
        return vars(_scored(teacher, examples, *_draw(backbone, examples, config, seed)))

    path = plan.checkpoints / "teacher-scores.safetensors"
    scored = ScoredCandidates(**stored_arrays(path, score))

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng, queries = start_step("teacher", examples, schedule, seed, step)
        rows = np.searchsorted(scored.queries, queries)
        distinct, of_document = np.unique(scored.documents[rows], return_inverse=True)
        columns = to_device(of_document.reshape(len(rows), -1), backbone.device)
        query_ids = examples.thinned_queries(queries, schedule.token_dropout, rng)
        e_q = backbone.last_states(backbone.prompt.alone(query_ids))
        e_d = backbone.last_states(
            examples.thinned_documents(distinct, schedule.token_dropout, rng)
        )
        scores = cosine_matrix(e_q, e_d).gather(1, columns) / temperature
        targets = to_device(scored.margins[rows], scores.device)
        return {"distillation": loss(scores, targets)}

    return fine_tune(backbone, loss_at, examples, plan, label)


def _draw(
    backbone: Backbone, examples: Examples, config: TeacherConfig, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(queries [n] that training meets, documents [n, k]: a positive, hard and random ones).

    Only documents that are relevant to some training query are drawn: of others the teacher knows
    no more than that they were never right, and the student would learn to reject them whatever
    the query.

    Raises:
        DatasetError: all training queries have the same right document.
    """
    count = min(config.documents_per_query, len(examples.relevant_documents))
    if count < 2:
        raise DatasetError(
            "all training queries have the same relevant document: a bi-encoder needs at least "
            "two to learn how the teacher tells them apart"
        )
    schedule = config.schedule
    steps = range(schedule.steps(len(examples.queries)))
    queries = queries_met("teacher", examples, schedule, seed, steps)
    hard = round(config.mined_share * (count - 1))
    pool, depth = examples.relevant_documents, config.mining_depth
    mined = mine(config.mining_sources, backbone, examples, pool, depth, queries)
    rng = step_generator(seed, 7)
    rows = []
    for query, positive in zip(queries, examples.positives(queries.tolist(), rng), strict=True):
        drawn = [positive, *rng.permutation(mined[query])[:hard], *rng.permutation(pool)]
        # What the query's rankings leave out comes last: only where the pool is hardly larger.
        chosen = sorted(drawn, key=lambda d: d in examples.left_out.get(query, ()))
        rows.append(list(dict.fromkeys(map(int, chosen)))[:count])
    return queries, np.array(rows, dtype=np.int64)


def _scored(
    teacher: GenerativeReranker,
    examples: Examples,
    queries: npt.NDArray[np.int64],
    documents: npt.NDArray[np.int64],
) -> ScoredCandidates:
    margins = teacher.candidate_margins(
        [examples.queries[q] for q in queries],
        examples.documents,
        documents,
        "teacher scores candidates",
    )
    return ScoredCandidates(queries, documents, margins)
