"""Warm-up of a tiny backbone: language modelling and contrastive loss together.

A tiny model learns almost nothing when it goes straight from random weights to yes/no fine-tuning:
it first has to learn words, and that a query and its document belong together.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from rabtriever_core.config import BackboneConfig, RuntimeConfig
from rabtriever_core.models.arrays import to_device
from rabtriever_core.models.backbone import Backbone, pick_device, states_of_layers
from rabtriever_core.training.alignment import aligned_layers, contrastive_loss
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.loop import train
from rabtriever_core.training.steps import start_step


def warm_up(
    backbone: Backbone,
    examples: Examples,
    config: BackboneConfig,
    runtime: RuntimeConfig,
    checkpoints: Path,
) -> History:
    """Train the backbone on pairs that belong together: LM loss, and InfoNCE on e_Q · e_D."""
    backbone.model.to(pick_device(runtime))
    backbone.runtime = runtime
    schedule = config.warmup
    layers = aligned_layers(backbone)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng, queries = start_step("backbone", examples, schedule, runtime.seed, step)
        positives = examples.positives(queries, rng)
        query_ids = examples.thinned_queries(queries, schedule.token_dropout, rng)
        document_ids = examples.thinned_documents(positives, schedule.token_dropout, rng)
        e_d, modelling = _read_pairs(backbone, document_ids, query_ids, layers)
        e_q = backbone.last_states_of_layers(backbone.prompt.alone(query_ids), layers)
        relevant = to_device(examples.relevance(queries, positives), e_d[0].device)
        counted = to_device(examples.counted(queries, positives), e_d[0].device)
        contrast = contrastive_loss(e_q, e_d, relevant, counted)
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
    backbone: Backbone,
    documents: list[list[int]],
    queries: list[list[int]],
    layers: tuple[int, ...],
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """(e_D [n, d] of the final norm and of every layer, mean next-token cross-entropy).

    Where the document stands first, its states in the pair are those of the document alone, by
    causality.
    """
    prompt = backbone.prompt
    rows = [prompt.pair(*sides) for sides in zip(documents, queries, strict=True)]
    ids, _ = backbone.pad(rows)
    read = backbone.read(input_ids=ids, use_cache=False, output_hidden_states=True)
    states = read.last_hidden_state
    if prompt.spec.document_first:
        lengths = to_device(np.array([len(document) for document in documents]), ids.device)
        e_d = states_of_layers(read, lengths, layers)
    else:
        e_d = backbone.last_states_of_layers(documents, layers)
    # The place of every real token but the last, in rows laid end to end.
    places = [np.arange(len(row) - 1) + n * ids.shape[1] for n, row in enumerate(rows)]
    before = to_device(np.concatenate(places), ids.device)
    logits = backbone.model.get_output_embeddings()(states.flatten(0, 1)[before])
    return e_d, F.cross_entropy(logits.float(), ids.flatten()[before + 1])
