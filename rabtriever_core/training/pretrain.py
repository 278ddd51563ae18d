"""Warm-up of a tiny backbone: language modelling and contrastive loss together.

A tiny model that goes straight from random weights to yes/no fine-tuning learns almost nothing;
it first needs to know the words and that a query and its document belong together.
"""

from pathlib import Path

import torch
import torch.nn.functional as F

from rabtriever_core.config import BackboneConfig, RuntimeConfig
from rabtriever_core.models.backbone import Backbone, pick_device
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.loop import History, queries_of_step, step_generator, train
from rabtriever_core.training.losses import info_nce

TEMPERATURE = 0.05


def warm_up(
    backbone: Backbone,
    examples: Examples,
    config: BackboneConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
) -> History:
    """Train the backbone on `document + query` positives: LM loss, and InfoNCE on e_Q · e_D."""
    backbone.model.to(pick_device(runtime))
    schedule = config.warmup

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng = step_generator(runtime.seed, 2, step)
        queries = queries_of_step(
            len(examples.queries), schedule.queries_per_step, step, runtime.seed
        ).tolist()
        positives = examples.positives(queries, rng)
        share = schedule.token_dropout
        query_ids = examples.thin([examples.query_ids[q] for q in queries], share, rng)
        document_ids = examples.thin([examples.document_ids[d] for d in positives], share, rng)
        e_d, modelling = _read_pairs(backbone, document_ids, query_ids)
        relevant = torch.from_numpy(examples.relevance(queries, positives)).to(e_d.device)
        e_q = backbone.last_states(backbone.prompt.alone(query_ids))
        contrast = info_nce(e_q, e_d, relevant, TEMPERATURE)
        return {"modelling": modelling, "contrast": config.contrastive_weight * contrast}

    return train(
        backbone.model,
        loss_at,
        steps=schedule.steps(len(examples.queries)),
        schedule=schedule,
        runtime=runtime,
        checkpoints=checkpoints,
        label="backbone warm-up",
    )


def _read_pairs(
    backbone: Backbone, documents: list[list[int]], queries: list[list[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(e_D [n, d], mean next-token cross-entropy) of document followed by query."""
    rows = [document + query for document, query in zip(documents, queries, strict=True)]
    ids, lengths = backbone.pad(rows)
    states = backbone.body(input_ids=ids, use_cache=False).last_hidden_state
    ends = torch.tensor([len(document) - 1 for document in documents], device=ids.device)
    e_d = states[torch.arange(len(rows), device=ids.device), ends].float()
    real = torch.arange(1, ids.shape[1], device=ids.device)[None] < lengths[:, None]
    logits = backbone.model.get_output_embeddings()(states[:, :-1][real])
    return e_d, F.cross_entropy(logits.float(), ids[:, 1:][real])
