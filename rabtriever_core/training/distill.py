"""On-policy distillation of the frozen teacher into the student's predictor (Rabtriever)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from rabtriever_core.config import RuntimeConfig, StudentConfig
from rabtriever_core.models.predictor import Predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.retriever import document_states, query_row_states
from rabtriever_core.training.alignment import ANCHOR_SCALE
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import History, train
from rabtriever_core.training.losses import (
    centred_mse,
    cosine_matrix,
    reverse_kl_binary,
    reverse_kl_listwise,
)
from rabtriever_core.training.steps import queries_of_step, step_generator


@dataclass(frozen=True)
class RollOuts:
    """Candidates the student returned, with the teacher's states for them."""

    e_q: torch.Tensor
    """Query states [n, d]."""
    documents: torch.Tensor
    """Document numbers [n, k]."""
    teacher_states: torch.Tensor
    """e_T of every pair [n, k, d]."""


def distill(
    teacher: GenerativeReranker,
    predictor: Predictor,
    examples: Examples,
    config: StudentConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
) -> History:
    """Train the predictor on the student's own roll-outs, scored by the frozen teacher.

    Every `refresh_steps` the student's current policy (softmax of its margins over the judged
    documents) draws candidates for `rollout_queries` training queries, thinned anew; the teacher
    scores them, and they join the pairs that are trained on. Which document is right is never
    looked up.
    """
    device = teacher.backbone.device
    predictor.to(device)
    e_d = torch.from_numpy(document_states(teacher.backbone, examples.documents)).to(device)
    e_q_all = torch.from_numpy(query_row_states(teacher.backbone, examples.query_ids)).to(device)
    direction = teacher.backbone.answer_direction().detach()
    # A document that no training query is judged for would only ever be a wrong answer here, and
    # the student would learn to avoid it for good: see `supervised`.
    pool = examples.judged
    if config.skip:
        norms = [torch.linalg.vector_norm(e, dim=1).mean() for e in (e_q_all, e_d)]
        predictor.start_from_cosine(direction, ANCHOR_SCALE / float(norms[0] * norms[1]))
    schedule = config.schedule
    rounds: list[RollOuts] = []

    def ensure_round(number: int) -> None:
        while len(rounds) <= number:
            path = checkpoints / f"rollouts-{len(rounds):04d}.safetensors"
            if not path.exists():
                rng = step_generator(runtime.seed, 4, len(rounds))
                chosen = rng.permutation(len(examples.queries))[: config.rollout_queries]
                query_ids = examples.thinned_queries(chosen, schedule.token_dropout, rng)
                e_q = query_row_states(teacher.backbone, query_ids)
                with torch.inference_mode():
                    gates = predictor(torch.from_numpy(e_q).to(device))
                    scores = ((gates * direction) @ e_d[pool].T).cpu().numpy()
                drawn = pool[
                    draw_candidates(
                        scores,
                        config.documents_per_query,
                        config.temperature,
                        config.uniform_share,
                        rng,
                    )
                ]
                e_t = _teacher_states(teacher, examples, query_ids, drawn)
                store({"e_q": e_q, "documents": drawn, "teacher_states": e_t}, path)
            stored = {name: torch.from_numpy(v) for name, v in load_file(path).items()}
            rounds.append(RollOuts(**stored))

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        ensure_round(step // config.refresh_steps)
        e_q, documents, targets = (
            part.to(device)
            for part in _batch(rounds, schedule.queries_per_step, step, runtime.seed)
        )
        states = predictor(e_q)[:, None, :] * e_d[documents]
        student, target = states @ direction, targets @ direction
        parts = {
            "mse": config.mse_weight * torch.mean((states - targets) ** 2),
            "reverse_kl": config.reverse_kl_weight * reverse_kl_binary(student, target),
            "listwise_kl": config.listwise_kl_weight * reverse_kl_listwise(student, target),
        }
        if config.anchor_weight:
            # Over the whole corpus: nothing else holds the documents that are never drawn.
            everywhere = (predictor(e_q) * direction) @ e_d.T
            cosines = ANCHOR_SCALE * cosine_matrix(e_q, e_d)
            parts["anchor"] = config.anchor_weight * centred_mse(everywhere, cosines)
        return parts

    return train(
        predictor,
        loss_at,
        steps=schedule.steps(len(examples.queries)),
        schedule=schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="student",
    )


def draw_candidates(
    scores: npt.NDArray[np.float32],
    count: int,
    temperature: float,
    uniform_share: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw documents without replacement: softmax(scores / temperature), plus a uniform share.

    Args:
        scores: the student's margins [n, m].
        count: candidates per query (at most m).
        temperature: of the policy.
        uniform_share: share of the candidates drawn uniformly from the rest.
        rng: random stream.

    Returns:
        Document numbers [n, count].
    """
    n, m = scores.shape
    count = min(count, m)
    uniform = round(uniform_share * count)
    # Gumbel top-k: the largest perturbed logits are a sample without replacement.
    noisy = scores / temperature + rng.gumbel(size=(n, m))
    drawn = np.argsort(-noisy, axis=1, kind="stable")[:, : count - uniform]
    lottery = rng.random((n, m))
    np.put_along_axis(lottery, drawn, -1.0, axis=1)
    extra = np.argsort(-lottery, axis=1, kind="stable")[:, :uniform]
    return np.concatenate([drawn, extra], axis=1)


def _teacher_states(
    teacher: GenerativeReranker,
    examples: Examples,
    query_ids: Sequence[list[int]],
    documents: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Let the teacher read every drawn pair, grouped by document: e_T [n, k, d]."""
    states = np.zeros((*documents.shape, teacher.backbone.dimension), dtype=np.float32)
    for rows, columns, e_t in teacher.candidate_states(
        examples.document_ids, query_ids, documents, "teacher scores roll-outs"
    ):
        states[rows, columns] = e_t.cpu().numpy()
    return states


def store(arrays: dict[str, npt.NDArray[Any]], path: Path) -> None:
    """Write arrays atomically: a killed run finds all of them, or none."""
    unfinished = path.with_suffix(".part")
    save_file(arrays, unfinished)
    unfinished.replace(path)


def _batch(
    rounds: list[RollOuts], size: int, step: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of the roll-outs so far: (e_Q [b, d], documents [b, k], e_T [b, k, d])."""
    sizes = [len(r.documents) for r in rounds]
    picked = queries_of_step(sum(sizes), size, step, seed + len(rounds))
    bounds = np.cumsum([0, *sizes])
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for number, rollouts in enumerate(rounds):
        inside = (picked >= bounds[number]) & (picked < bounds[number + 1])
        rows = torch.from_numpy(picked[inside] - bounds[number])
        parts.append((rollouts.e_q[rows], rollouts.documents[rows], rollouts.teacher_states[rows]))
    e_q, documents, states = (torch.cat(column) for column in zip(*parts, strict=True))
    return e_q, documents, states
