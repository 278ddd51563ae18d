"""Keeps what query and document say apart comparable: contrastive loss on their states."""

from collections.abc import Sequence

import torch

from rabtriever_core.models.backbone import Backbone
from rabtriever_core.training.losses import info_nce

TEMPERATURE = 0.05
ANCHOR_SCALE = 10.0
"""Margin that a cosine of 1 stands for where margins are held to the cosines."""


def aligned_layers(backbone: Backbone) -> tuple[int, ...]:
    """The layer half-way up, aligned beside the last one.

    The teacher compares query and document inside its blocks: what the last layer alone knows
    comes too late for that.
    """
    blocks = int(backbone.model.config.get_text_config().num_hidden_layers)
    return (blocks // 2,) if blocks > 1 else ()


def contrastive_loss(
    e_q: Sequence[torch.Tensor], e_d: Sequence[torch.Tensor], relevant: torch.Tensor
) -> torch.Tensor:
    """InfoNCE of e_Q and e_D, mean over layers.

    Args:
        e_q: query states [n, d] of every layer.
        e_d: document states [m, d] of every layer.
        relevant: boolean [n, m].
    """
    losses = [info_nce(q, d, relevant, TEMPERATURE) for q, d in zip(e_q, e_d, strict=True)]
    return torch.stack(losses).mean()
