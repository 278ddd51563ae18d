"""On-policy distillation of the frozen teacher into the student's predictor (Rabtriever)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from rabtriever_core.config import RuntimeConfig, StudentConfig
from rabtriever_core.models.predictor import Predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.retriever import document_states, query_states
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import History, queries_of_step, step_generator, train
from rabtriever_core.training.losses import reverse_kl_binary, reverse_kl_listwise


@dataclass(frozen=True)
class RollOuts:
    """Candidates the student returned, with the teacher's states for them."""

    queries: torch.Tensor
    """Query numbers [n]."""
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

    Every `refresh_steps` the student's current policy (softmax of its margins over the corpus)
    draws candidates for `rollout_queries` training queries; the teacher scores them, and they join
    the pairs that are trained on. No relevance label is used.
    """
    device = teacher.backbone.device
    predictor.to(device)
    e_q = torch.from_numpy(query_states(teacher.backbone, examples.queries, progress=True)).to(
        device
    )
    e_d = torch.from_numpy(document_states(teacher.backbone, examples.documents)).to(device)
    direction = teacher.backbone.answer_direction().detach()
    schedule = config.schedule
    rounds: list[RollOuts] = []

    def ensure_round(number: int) -> None:
        while len(rounds) <= number:
            path = checkpoints / f"rollouts-{len(rounds):04d}.safetensors"
            if not path.exists():
                with torch.inference_mode():
                    scores = (predictor(e_q) * direction) @ e_d.T
                drawn = _draw(scores, config, len(rounds), runtime.seed)
                _score(teacher, examples, *drawn, path)
            stored = {name: torch.from_numpy(v) for name, v in load_file(path).items()}
            rounds.append(RollOuts(**stored))

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        ensure_round(step // config.refresh_steps)
        queries, documents, targets = _batch(rounds, schedule.queries_per_step, step, runtime.seed)
        targets = targets.to(device)
        states = predictor(e_q[queries])[:, None, :] * e_d[documents]
        student, target = states @ direction, targets @ direction
        return {
            "mse": config.mse_weight * torch.mean((states - targets) ** 2),
            "reverse_kl": config.reverse_kl_weight * reverse_kl_binary(student, target),
            "listwise_kl": config.listwise_kl_weight * reverse_kl_listwise(student, target),
        }

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


def _draw(
    scores: torch.Tensor, config: StudentConfig, number: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Queries of a round and their candidates."""
    rng = step_generator(seed, 4, number)
    n = len(scores)
    queries = np.sort(rng.permutation(n)[: config.rollout_queries])
    picked = scores[torch.from_numpy(queries)].cpu().numpy()
    documents = draw_candidates(
        picked, config.documents_per_query, config.temperature, config.uniform_share, rng
    )
    return queries, documents


def _score(
    teacher: GenerativeReranker,
    examples: Examples,
    queries: npt.NDArray[np.int64],
    documents: npt.NDArray[np.int64],
    path: Path,
) -> None:
    """Let the teacher read every drawn pair, grouped by document; store the round atomically."""
    from tqdm import tqdm

    n, k = documents.shape
    states = np.zeros((n, k, teacher.backbone.dimension), dtype=np.float32)
    order = np.lexsort((np.repeat(np.arange(n), k), documents.ravel()))
    size = 256
    with torch.inference_mode():
        for start in tqdm(
            range(0, len(order), size), desc="teacher scores roll-outs", unit="batch"
        ):
            pairs = order[start : start + size]
            rows = pairs // k
            distinct, of_document = np.unique(documents.ravel()[pairs], return_inverse=True)
            e_t, _ = teacher.pair_states(
                [examples.document_ids[d] for d in distinct],
                [examples.query_ids[queries[r]] for r in rows],
                of_document.tolist(),
                range(len(rows)),
            )
            states[rows, pairs % k] = e_t.cpu().numpy()
    unfinished = path.with_suffix(".part")
    save_file({"queries": queries, "documents": documents, "teacher_states": states}, unfinished)
    unfinished.replace(path)


def _batch(
    rounds: list[RollOuts], size: int, step: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of the roll-outs so far: (queries [b], documents [b, k], e_T [b, k, d])."""
    sizes = [len(r.queries) for r in rounds]
    picked = queries_of_step(sum(sizes), size, step, seed + len(rounds))
    bounds = np.cumsum([0, *sizes])
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for number, rollouts in enumerate(rounds):
        inside = (picked >= bounds[number]) & (picked < bounds[number + 1])
        rows = torch.from_numpy(picked[inside] - bounds[number])
        parts.append(
            (rollouts.queries[rows], rollouts.documents[rows], rollouts.teacher_states[rows])
        )
    queries, documents, states = (torch.cat(column) for column in zip(*parts, strict=True))
    return queries, documents, states
