"""On-policy distillation of the frozen teacher into the student (Rabtriever)."""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rabtriever_core.config import RuntimeConfig, StudentConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.apart import Apart
from rabtriever_core.models.arrays import to_device
from rabtriever_core.models.predictor import Predictor, make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import document_states, query_row_states
from rabtriever_core.models.student import Student
from rabtriever_core.training.alignment import ANCHOR_SCALE
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.loop import train
from rabtriever_core.training.losses import (
    centred_mse,
    cosine_matrix,
    kl_binary,
    listwise,
    reverse_kl_listwise,
)
from rabtriever_core.training.rollouts import (
    RollOuts,
    draw_candidates,
    padded,
    read_by_teacher,
    rows_of_step,
)
from rabtriever_core.training.steps import step_generator
from rabtriever_core.training.stored import stored_arrays

_LENGTH_SAMPLE = 4096
"""Queries whose mean length tells the scale of e_Q."""


def distill(
    teacher: GenerativeReranker,
    student: Student,
    examples: Examples,
    config: StudentConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    start: Predictor | None = None,
) -> History:
    """Train the student on its own roll-outs, scored by the frozen teacher (in place).

    Every `refresh_steps` the student's current policy draws candidates for `rollout_queries`
    training queries, their tokens thinned anew. The policy is the softmax of the student's margins
    over the documents that are relevant to some training query. The teacher scores the candidates,
    and they join the pairs that are trained on. Which document is relevant is looked up only for
    `supervised_weight`.

    Args:
        teacher: frozen.
        student: on the teacher's encoder; its predictor is trained, and its query side where that
            has adapters or weights of its own.
        examples: training queries and corpus.
        config: how to train.
        runtime: seed, device, precision.
        checkpoints: where to resume from.
        start: whose weights the predictor begins with, instead of fresh ones.

    Raises:
        ModelError: `start` has another kind or shape.
    """
    run = _Distillation(teacher, student, examples, config, runtime, checkpoints)
    if start is not None:
        if (start.kind, start.shape) != (student.predictor.kind, student.predictor.shape):
            raise ModelError(
                f"the predictor to start from is {start.kind} {start.shape}, the settings ask for "
                f"{student.predictor.kind} {student.predictor.shape}: set student.start to fresh"
            )
        student.predictor.load_state_dict(start.state_dict())
    trained: nn.Module = student.predictor
    if student.queries_are_read_apart:
        read_by = student.adapters or student.query_encoder.model
        trained = _Trainable(student.predictor, read_by)
    return train(
        trained,
        run.loss_at,
        steps=config.schedule.steps(len(examples.queries)),
        schedule=config.schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="student",
    )


class _Distillation:
    """What a step needs: frozen states, the roll-outs so far, and the current student."""

    def __init__(
        self,
        teacher: GenerativeReranker,
        student: Student,
        examples: Examples,
        config: StudentConfig,
        runtime: RuntimeConfig,
        checkpoints: Path,
    ) -> None:
        self.teacher, self.student, self.examples = teacher, student, examples
        self.config, self.seed, self.checkpoints = config, runtime.seed, checkpoints
        self.rounds: list[RollOuts] = []
        self.device = student.encoder.device
        self.direction = student.direction
        # The same texts as the student's encoder reads them, where that is not the teacher.
        self.apart = examples
        if teacher.encoder is not teacher.backbone:
            self.apart = examples.tokenized(teacher.encoder.prompt)
        e_d = document_states(teacher.encoder, examples.documents)
        e_q = query_row_states(teacher.encoder, self.apart.query_ids[:_LENGTH_SAMPLE])
        self.e_d = to_device(e_d, self.device)
        # A document that is relevant to no training query could only be a wrong answer here, and
        # the student would learn never to return it: see `supervised`.
        self.pool = examples.relevant_documents
        self.in_pool = to_device(examples.relevant_to_some, self.device)
        self.cosine_scale = teacher.cosine_scale or ANCHOR_SCALE
        lengths = [float(np.linalg.norm(e, axis=1).mean()) for e in (e_q, e_d)]
        scale = self.cosine_scale / (lengths[0] * lengths[1])
        if config.skip and config.predictor != "additive":
            student.predictor.start_from_cosine(self.direction, scale)
        # The cosine part of the teacher's margin, as a state: e_T does not contain it, but the
        # student starts with it. None if the teacher's margin comes from e_T alone.
        self.cosine_part: Predictor | None = None
        if teacher.cosine_scale:
            self.cosine_part = copy.deepcopy(student.predictor)
            if not config.skip or config.predictor == "additive":
                # This student does not start with it: take what the paper's predictor would hold.
                plain = StudentConfig(hidden_multiple=1, layers=1)
                out = None if self.apart is examples else teacher.backbone.dimension
                self.cosine_part = make_predictor(e_d.shape[1], plain, runtime.seed, out)
                self.cosine_part.to(self.device).start_from_cosine(self.direction, scale)

    def loss_at(self, step: int) -> dict[str, Tensor]:
        """Weighted parts of the loss; parts of weight zero are not computed."""
        config = self.config
        self._ensure_round(step // config.refresh_steps)
        rows = rows_of_step(self.rounds, config.schedule.queries_per_step, step, self.seed)
        e_q = self._query_states(rows)
        targets = to_device(rows.teacher_states, self.device)
        documents = to_device(rows.documents, self.device)
        states = self.student.predictor.states(e_q, self.e_d[documents])
        student = states @ self.direction
        target = to_device(rows.teacher_margins, self.device)
        if self.cosine_part is not None:
            with torch.no_grad():
                targets = targets + self.cosine_part.states(
                    to_device(rows.e_q, self.device), self.e_d[documents]
                )
        everywhere = cache(lambda: self._margins_everywhere(e_q))
        makers: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "mse": (config.mse_weight, lambda: torch.mean((states - targets) ** 2)),
            "reverse_kl": (config.reverse_kl_weight, lambda: kl_binary(student, target)),
            "forward_kl": (config.forward_kl_weight, lambda: kl_binary(target, student)),
            "listwise_kl": (
                config.listwise_kl_weight,
                lambda: reverse_kl_listwise(student, target),
            ),
            # Over the whole corpus: no other loss sees the documents that are never drawn.
            "anchor": (
                config.anchor_weight,
                lambda: centred_mse(everywhere(), self._cosines(rows)),
            ),
            "supervised": (
                config.supervised_weight,
                lambda: self._supervised(everywhere(), rows.queries.tolist()),
            ),
        }
        return {name: weight * make() for name, (weight, make) in makers.items() if weight}

    def _query_states(self, rows: RollOuts) -> Tensor:
        """e_Q [n, d]: stored where the query side is frozen, read anew where it is trained."""
        if not self.student.queries_are_read_apart:
            return to_device(rows.e_q, self.device)
        encoder = self.student.query_encoder
        return encoder.last_states(encoder.prompt.alone(rows.token_rows()))

    def _margins_everywhere(self, e_q: Tensor) -> Tensor:
        """Margins with all documents [n, m], without the query's offset."""
        predictor = self.student.predictor
        queries = predictor.query_vectors(e_q, self.direction)
        return queries @ predictor.document_vectors(self.e_d, self.direction).T

    def _cosines(self, rows: RollOuts) -> Tensor:
        """What margins are regressed on [n, m]: scaled cosines of the states before training."""
        e_q = to_device(rows.e_q, self.device)
        return self.cosine_scale * cosine_matrix(e_q, self.e_d)

    def _supervised(self, margins: Tensor, queries: list[int]) -> Tensor:
        """List-wise loss on the labels, over the pool."""
        relevant = torch.zeros_like(margins, dtype=torch.bool)
        everything = np.arange(len(self.examples.documents))
        counted = to_device(self.examples.counted(queries, everything), margins.device)
        for row, query in enumerate(queries):
            relevant[row, sorted(self.examples.relevant[query])] = True
        used = counted & self.in_pool
        return listwise(margins.masked_fill(~used, float("-inf")), relevant)

    def _ensure_round(self, number: int) -> None:
        while len(self.rounds) <= number:
            path = self.checkpoints / f"rollouts-{len(self.rounds):04d}.safetensors"
            arrays = stored_arrays(path, lambda: vars(self._roll_out(len(self.rounds))))
            self.rounds.append(RollOuts(**arrays))

    def _roll_out(self, number: int) -> RollOuts:
        """The policy draws candidates, and the teacher reads them."""
        config, examples = self.config, self.examples
        rng = step_generator(self.seed, 4, number)
        queries = rng.permutation(len(examples.queries))[: config.rollout_queries]
        share = config.schedule.token_dropout
        query_ids = read_alone = examples.thinned_queries(queries, share, rng)
        if self.apart is not examples:
            read_alone = self.apart.thinned_queries(queries, share, rng)
        e_q = query_row_states(self.teacher.encoder, read_alone)
        scores = self._policy_scores(read_alone, e_q)
        scores[~examples.counted(queries, self.pool)] = -np.inf
        drawn = draw_candidates(
            scores,
            config.documents_per_query,
            config.temperature,
            config.uniform_share,
            rng,
        )
        documents = self.pool[drawn]
        apart = Apart(to_device(e_q, self.device), self.e_d)
        states, margins = read_by_teacher(self.teacher, examples, query_ids, documents, apart)
        return RollOuts(
            queries=queries,
            tokens=padded(read_alone),
            e_q=e_q,
            documents=documents,
            teacher_states=states,
            teacher_margins=margins,
        )

    def _policy_scores(
        self, query_ids: list[list[int]], e_q: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Scores [n, documents of the pool] that candidates are drawn by."""
        if self.config.policy == "uniform":
            return np.zeros((len(query_ids), len(self.pool)), dtype=np.float32)
        states = to_device(e_q, self.device)
        with torch.inference_mode():
            if self.config.policy == "cosine":
                scores = self.cosine_scale * cosine_matrix(states, self.e_d)
            else:
                if self.student.queries_are_read_apart:
                    now = query_row_states(self.student.query_encoder, query_ids)
                    states = to_device(now, self.device)
                scores = self._margins_everywhere(states)
        return scores[:, self.in_pool].cpu().numpy()


class _Trainable(nn.Module):
    """Predictor and adapters as one module, so that checkpoints hold no frozen weights."""

    def __init__(self, predictor: nn.Module, adapted: nn.Module) -> None:
        super().__init__()
        self.predictor = predictor
        self.adapters = nn.ParameterList(_trained_parameters(adapted))


def _trained_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in module.parameters() if parameter.requires_grad)
