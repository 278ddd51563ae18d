"""Keys and values of documents that were read, put together for pairs by hand."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rabtriever_core.models.backbone import Backbone

if TYPE_CHECKING:
    import torch


def cache_of(layers: "Iterable[tuple[torch.Tensor, torch.Tensor]]") -> Any:
    """A cache of keys and values [n, heads, tokens, width] per layer, which are not copied.

    Layers are made by hand because `DynamicCache.update` copies what it is given into an empty one.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    cache = DynamicCache()
    for keys, values in layers:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def repeat_cache(cache: Any, index: "torch.Tensor") -> Any:
    """A document cache spread over pairs, differentiable (in-place cache methods are not).

    `index_select` and not `keys[index]`, whose gradient adds up in whatever order threads arrive. A
    single document is not copied at all before the query's keys and values join it.
    """

    def over_pairs(states: "torch.Tensor") -> "torch.Tensor":
        if len(states) == 1:
            return states.expand(len(index), -1, -1, -1)
        return states.index_select(0, index)

    return cache_of((over_pairs(layer.keys), over_pairs(layer.values)) for layer in cache.layers)


def window_masks(
    backbone: Backbone,
    lengths: "torch.Tensor",
    width: int,
    positions: "torch.Tensor",
    window: int,
) -> Any:
    """Which keys a query's tokens see in a model with sliding layers, by kind of layer.

    Counted in tokens of the pair and not in places of the padded cache, as the model itself counts.

    Args:
        backbone: the model.
        lengths: tokens of every pair's document [p].
        width: places of documents in the cache.
        positions: of the query's tokens in the pair [p, l].
        window: how many tokens back a sliding layer looks.
    """
    import torch

    places = torch.arange(width, device=lengths.device).expand(len(lengths), -1)
    keys = torch.cat([places, positions], dim=1)[:, None, None]
    real = torch.cat([places < lengths[:, None], torch.ones_like(positions, dtype=torch.bool)], 1)
    distance = positions[:, None, :, None] - keys
    seen = (distance >= 0) & real[:, None, None]
    masks = {"full_attention": seen, "sliding_attention": seen & (distance < window)}
    config = backbone.model.config.get_text_config()
    if config._attn_implementation == "eager":  # adds what others take for a choice
        dtype = backbone.model.dtype
        least = torch.finfo(dtype).min
        masks = {
            kind: torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, least)
            for kind, mask in masks.items()
        }
    mixed = getattr(config, "layer_types", None) is not None
    return masks if mixed else masks["sliding_attention"]
