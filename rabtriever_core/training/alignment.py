"""Keeps what query and document say apart comparable: contrastive loss on their states."""

from collections.abc import Sequence

import torch

from rabtriever_core.models.backbone import Backbone
from rabtriever_core.training.losses import info_nce

TEMPERATURE = 0.05


def aligned_layers(backbone: Backbone) -> tuple[int, ...]:
    """The layer half-way up, aligned beside the last one.

    The teacher compares query and document inside its blocks: what the last layer alone knows
    comes too late for that.
    """
    blocks = int(backbone.model.config.get_text_config().num_hidden_layers)
    return (blocks // 2,) if blocks > 1 else ()


def contrastive_loss(
    backbone: Backbone,
    query_ids: Sequence[Sequence[int]],
    document_ids: Sequence[Sequence[int]],
    relevant: torch.Tensor,
) -> torch.Tensor:
    """InfoNCE of e_Q and e_D, each read alone, at the last and the half-way layer.

    Args:
        backbone: encodes both sides.
        query_ids: token ids of n query sides.
        document_ids: token ids of m document sides.
        relevant: boolean [n, m].
    """
    layers = aligned_layers(backbone)
    e_q = backbone.last_states_of_layers(backbone.prompt.alone(query_ids), layers)
    e_d = backbone.last_states_of_layers(document_ids, layers)
    return torch.stack(
        [info_nce(q, d, relevant, TEMPERATURE) for q, d in zip(e_q, e_d, strict=True)]
    ).mean()
