"""Contrastive loss on e_Q and e_D, which keeps the states of texts read alone comparable."""

from collections.abc import Sequence

import torch

from rabtriever_core.models.backbone import Backbone
from rabtriever_core.training.losses import info_nce

TEMPERATURE = 0.05
ANCHOR_SCALE = 10.0
"""Margin that a cosine of 1 stands for where margins are held to the cosines."""


def aligned_layers(backbone: Backbone) -> tuple[int, ...]:
    """The layer half-way up, which is aligned besides the last one.

    The teacher compares query and document inside its blocks, where states that are aligned only
    in the last layer come too late.
    """
    blocks = int(backbone.model.config.get_text_config().num_hidden_layers)
    return (blocks // 2,) if blocks > 1 else ()


def contrastive_loss(
    e_q: Sequence[torch.Tensor],
    e_d: Sequence[torch.Tensor],
    relevant: torch.Tensor,
    counted: torch.Tensor,
) -> torch.Tensor:
    """InfoNCE of e_Q and e_D, mean over layers.

    Args:
        e_q: query states [n, d] of every layer.
        e_d: document states [m, d] of every layer.
        relevant: boolean [n, m].
        counted: boolean [n, m], see `info_nce`.
    """
    losses = [info_nce(q, d, relevant, counted, TEMPERATURE) for q, d in zip(e_q, e_d, strict=True)]
    return torch.stack(losses).mean()
