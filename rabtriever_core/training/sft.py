"""Supervised fine-tuning of the teacher on its answer token (RaHoRe, arXiv 2412.16615)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from rabtriever_core.config import LoraConfig, RuntimeConfig, TeacherConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.alignment import ANCHOR_SCALE, aligned_layers, contrastive_loss
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import History, train
from rabtriever_core.training.losses import centred_mse, cosine_matrix, supervised
from rabtriever_core.training.negatives import Similarity
from rabtriever_core.training.steps import start_step


def fine_tune_teacher(
    backbone: Backbone,
    examples: Examples,
    config: TeacherConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
    lora: LoraConfig | None,
) -> History:
    """Train the backbone to answer T for relevant pairs and F for the others (in place).

    Every query is compared with candidates of its own: a positive, mined hard negatives and random
    ones, or the whole corpus when it is no larger.

    Args:
        backbone: becomes the teacher.
        examples: training queries and corpus.
        config: how to train.
        runtime: seed, device, precision.
        checkpoints: where to resume from.
        lora: adapters to train instead of all weights; merged at the end.
    """
    mined = mined_negatives(backbone, examples, config)
    trained = backbone.model if lora is None else with_lora(backbone, lora, runtime.seed)
    reranker = GenerativeReranker(backbone)
    schedule = config.schedule
    layers = aligned_layers(backbone)
    steps = schedule.steps(len(examples.queries))

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng, queries = start_step("teacher", examples, schedule, runtime.seed, step)
        drawn = candidates(examples, queries, mined, config, rng)
        n, k = drawn.shape
        distinct, of_document = np.unique(drawn, return_inverse=True)
        query_ids = examples.thinned_queries(queries, schedule.token_dropout, rng)
        document_ids = examples.thinned_documents(distinct, schedule.token_dropout, rng)
        states, e_d = reranker.pair_states(
            document_ids,
            query_ids,
            of_document.ravel().tolist(),
            np.repeat(np.arange(n), k).tolist(),
            layers if config.contrastive_weight else (),
        )
        margins = (states @ backbone.answer_direction()).view(n, k)
        relevance = torch.from_numpy(examples.relevance(queries, distinct.tolist()))
        columns = torch.from_numpy(of_document).view(n, k)
        relevant = relevance.gather(1, columns).to(margins.device)
        judged = torch.from_numpy(np.isin(drawn, examples.judged)).to(margins.device)
        answer, in_list = supervised(margins, relevant, judged)
        parts = {"answer": answer, "listwise": config.listwise_weight * in_list}
        if config.contrastive_weight:
            seen = np.flatnonzero(np.isin(distinct, examples.judged))
            e_q = backbone.last_states_of_layers(backbone.prompt.alone(query_ids), layers)
            contrast = contrastive_loss(
                e_q, [states[seen] for states in e_d], relevance[:, seen].to(margins.device)
            )
            parts["contrast"] = config.contrastive_weight * contrast
            with torch.no_grad():
                cosines = cosine_matrix(e_q[0], e_d[0])[torch.arange(n)[:, None], columns]
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
    )
    if lora is not None:
        backbone.model = trained.merge_and_unload()  # type: ignore[operator]
    return history


def mined_negatives(
    backbone: Backbone, examples: Examples, config: TeacherConfig
) -> list[npt.NDArray[np.int64]] | None:
    """Hard negatives of every query; None where none are wanted, or the pool is used whole."""
    everything = np.arange(len(examples.documents))
    if len(everything) <= config.documents_per_query or not config.mined_share:
        return None
    similarity = Similarity.of(backbone, examples)
    return similarity.hard_negatives(examples, everything, config.mining_depth)


def candidates(
    examples: Examples,
    queries: list[int],
    mined: list[npt.NDArray[np.int64]] | None,
    config: TeacherConfig,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Document numbers [n, k] that the queries of a step are compared with.

    A positive first, then hard negatives, then random ones; the whole corpus when it has no more
    than `documents_per_query` documents.
    """
    pool = np.arange(len(examples.documents))
    if len(pool) <= config.documents_per_query:
        return np.tile(pool, (len(queries), 1))
    hard = 0 if mined is None else round(config.mined_share * (config.documents_per_query - 1))
    rows = []
    for query, positive in zip(queries, examples.positives(queries, rng), strict=True):
        chosen = {positive: None}
        if mined is not None:
            chosen |= dict.fromkeys(rng.permutation(mined[query])[:hard].tolist())
        for document in rng.permutation(pool).tolist():
            if len(chosen) == config.documents_per_query:
                break
            if document not in examples.relevant[query]:
                chosen.setdefault(document)
        for document in rng.permutation(pool).tolist():
            # So few documents are irrelevant to this query that relevant ones fill the row.
            if len(chosen) == config.documents_per_query:
                break
            chosen.setdefault(document)
        rows.append(list(chosen))
    return np.array(rows, dtype=np.int64)


def with_lora(backbone: Backbone, lora: LoraConfig, seed: int) -> torch.nn.Module:
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
