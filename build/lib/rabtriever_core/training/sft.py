"""Supervised fine-tuning of the teacher on its answer token (RaHoRe, arXiv 2412.16615)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rabtriever_core.config import LoraConfig, RuntimeConfig, TeacherConfig
from rabtriever_core.models.arrays import to_device
from rabtriever_core.models.lora import merge_adapters, with_adapters
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.alignment import ANCHOR_SCALE, aligned_layers, contrastive_loss
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.loop import train
from rabtriever_core.training.losses import centred_mse, cosine_matrix, supervised
from rabtriever_core.training.negatives import Miner, in_batch_documents
from rabtriever_core.training.pairs import draw_pairs
from rabtriever_core.training.steps import start_step


def fine_tune_teacher(
    reranker: GenerativeReranker,
    examples: Examples,
    config: TeacherConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    lora: LoraConfig | None,
    quality: Callable[[], float] | None = None,
) -> History:
    """Train the reranker to answer T for relevant pairs and F for the others (in place).

    Every query is compared with candidates of its own: a positive, mined hard negatives and random
    ones, or the whole corpus when it is no larger.

    Args:
        reranker: becomes the teacher.
        examples: training queries and corpus.
        config: how to train.
        runtime: seed, device, precision.
        checkpoints: where to resume from.
        lora: adapters to train instead of all weights; merged at the end.
        quality: measured on dev, for early stopping.
    """
    backbone = reranker.backbone
    trained = backbone.model if lora is None else with_adapters(backbone, lora, runtime.seed)
    schedule = config.schedule
    layers = aligned_layers(backbone)
    steps = schedule.steps(len(examples.queries))
    miner = Miner(reranker, examples, config, checkpoints, runtime.seed)

    def more_contrast(step: int) -> torch.Tensor:
        number, share = config.contrastive_queries, schedule.token_dropout
        rng, queries = start_step("contrast", examples, schedule, runtime.seed, step, number)
        documents = in_batch_documents(examples, queries, miner.at(step), 1, rng)
        e_q = backbone.last_states_of_layers(
            backbone.prompt.alone(examples.thinned_queries(queries, share, rng)), layers
        )
        e_d = backbone.last_states_of_layers(
            examples.thinned_documents(documents, share, rng), layers
        )
        relevance = to_device(examples.relevance(queries, documents), e_q[0].device)
        counted = to_device(examples.counted(queries, documents), e_q[0].device)
        return contrastive_loss(e_q, e_d, relevance, counted)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        pairs = draw_pairs(examples, miner.at(step), config, runtime.seed, step)
        margins, e_q, e_d = pairs.read(reranker, layers if config.contrastive_weight else None)
        device = margins.device
        answer, in_list = supervised(margins, pairs.relevant().to(device), pairs.used().to(device))
        parts = {
            "answer": config.answer_weight * answer,
            "listwise": config.listwise_weight * in_list,
        }
        if config.contrastive_weight:
            relevance = to_device(pairs.relevance[:, pairs.relevant_to_some], device)
            counted = to_device(pairs.counted[:, pairs.relevant_to_some], device)
            seen = to_device(np.flatnonzero(pairs.relevant_to_some), device)
            contrast = contrastive_loss(e_q, [states[seen] for states in e_d], relevance, counted)
            if config.contrastive_queries:
                contrast = contrast + more_contrast(step)
            parts["contrast"] = config.contrastive_weight * contrast
            with torch.no_grad():
                columns = to_device(pairs.column, device)
                cosines = cosine_matrix(e_q[0], e_d[0]).gather(1, columns)
            parts["anchor"] = config.anchor_weight * centred_mse(margins, ANCHOR_SCALE * cosines)
        return parts

    history = train(
        trained,
        loss_at,
        steps=steps,
        schedule=schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="teacher",
        quality=quality,
    )
    if lora is not None:
        merge_adapters(backbone, trained)
    return history
