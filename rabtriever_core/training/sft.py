"""Supervised fine-tuning of the teacher on its answer token (RaHoRe, arXiv 2412.16615)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from rabtriever_core.config import LoraConfig, RuntimeConfig, TeacherConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import History, queries_of_step, step_generator, train
from rabtriever_core.training.losses import answer_cross_entropy, info_nce, listwise
from rabtriever_core.training.negatives import mine_negatives

TEMPERATURE = 0.05


def fine_tune_teacher(
    backbone: Backbone,
    examples: Examples,
    config: TeacherConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    lora: LoraConfig | None,
) -> History:
    """Train the backbone to answer T for relevant pairs and F for the others (in place).

    Every query of a step meets every candidate document of the step: their positives, mined hard
    negatives and random ones, or all judged documents when there are no more.

    Args:
        backbone: becomes the teacher.
        examples: training queries and corpus.
        config: how to train.
        runtime: seed, device, precision.
        checkpoints: where to resume from.
        lora: adapters to train instead of all weights; merged at the end.
    """
    mined = None
    if len(examples.judged) > config.documents_per_step and config.mined_share > 0:
        mined = mine_negatives(backbone, examples, config.mining_depth)
    trained = backbone.model if lora is None else _with_lora(backbone, lora, runtime.seed)
    reranker = GenerativeReranker(backbone)
    schedule = config.schedule

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng = step_generator(runtime.seed, 3, step)
        queries = queries_of_step(
            len(examples.queries), schedule.queries_per_step, step, runtime.seed + 1
        ).tolist()
        documents = candidates(examples, queries, mined, config, rng)
        n, m = len(queries), len(documents)
        share = schedule.token_dropout
        query_ids = examples.thin([examples.query_ids[q] for q in queries], share, rng)
        states, e_d = reranker.pair_states(
            examples.thin([examples.document_ids[d] for d in documents], share, rng),
            query_ids,
            np.tile(np.arange(m), n).tolist(),
            np.repeat(np.arange(n), m).tolist(),
        )
        margins = (states @ backbone.answer_direction()).view(n, m)
        relevant = torch.from_numpy(examples.relevance(queries, documents)).to(margins.device)
        parts = {
            "answer": answer_cross_entropy(margins, relevant),
            "listwise": config.listwise_weight * listwise(margins, relevant),
        }
        if config.contrastive_weight:
            e_q = backbone.last_states(backbone.prompt.alone(query_ids))
            contrast = info_nce(e_q, e_d, relevant, TEMPERATURE)
            parts["contrast"] = config.contrastive_weight * contrast
        return parts

    history = train(
        trained,
        loss_at,
        steps=schedule.steps(len(examples.queries)),
        schedule=schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="teacher",
    )
    if lora is not None:
        backbone.model = trained.merge_and_unload()
    return history


def candidates(
    examples: Examples,
    queries: list[int],
    mined: list[npt.NDArray[np.int64]] | None,
    config: TeacherConfig,
    rng: np.random.Generator,
) -> list[int]:
    """Document numbers of a step: positives first, then hard negatives, then random ones."""
    pool = examples.judged
    if len(pool) <= config.documents_per_step:
        return pool.tolist()
    chosen = dict.fromkeys(examples.positives(queries, rng))
    wanted = max(config.documents_per_step, len(chosen) + 1)
    if mined is not None:
        hard = round(config.mined_share * (wanted - len(chosen)))
        offers = rng.permutation(np.concatenate([mined[q] for q in queries]))
        for document in offers.tolist():
            if hard <= 0:
                break
            if document not in chosen:
                chosen[document] = None
                hard -= 1
    for document in rng.permutation(pool).tolist():
        if len(chosen) >= wanted:
            break
        chosen.setdefault(document)
    return list(chosen)


def _with_lora(backbone: Backbone, lora: LoraConfig, seed: int) -> torch.nn.Module:
    """Put adapters into the backbone's layers; the body stays reachable as before."""
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model

    torch.manual_seed(seed)
    targets = lora.target_modules
    adapted: torch.nn.Module = get_peft_model(
        backbone.model,
        PeftConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM",
        ),
    )
    return adapted
