"""Some layers of a pretrained model instead of all of them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from rabtriever_core.config.layers import Layers
from rabtriever_core.errors import ModelError


def load_with_layers(
    load: Callable[[Any], tuple[Any, Any]], config: Any, layers: Layers | None, setting: str
) -> tuple[Any, Any]:
    """Load a model of `transformers`, and no layer behind the last that is kept.

    Args:
        load: from a configuration to the model and whatever comes with it.
        config: of the whole model; changed in place.
        layers: how many, the first ones, or which; None for all.
        setting: names it in errors.

    Returns:
        The model with these layers alone, and what came with it.

    Raises:
        ModelError: it has fewer layers, or they do not lie in one list.
    """
    if layers is None:
        return load(config)
    kept = _numbers(config, layers, setting)
    describe_layers(config, range(kept[-1] + 1))
    model, more = load(config)
    if len(kept) <= kept[-1]:
        model = _only(model, kept)
    return model, more


def layers_of(model: Any) -> tuple[str, Any]:
    """Name and modules of a model's layers, in the order in which they read.

    Raises:
        ModelError: they do not lie in one list.
    """
    from torch.nn import ModuleList

    count = int(model.config.get_text_config().num_hidden_layers)
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, ModuleList) and len(module) == count
    ]
    # Experts of a layer may be as many as there are layers.
    outer = [
        (name, module)
        for name, module in lists
        if not any(name.startswith(f"{above}.") for above, _ in lists)
    ]
    if len(outer) != 1:
        raise ModelError(
            f"{type(model).__name__} has {len(outer)} lists of {count} layers, so they can't be "
            "told apart: give how many layers to keep, or choose another model"
        )
    return outer[0]


def describe_layers(config: Any, kept: Sequence[int]) -> None:
    """Have a model's configuration describe these of its layers only."""
    text = config.get_text_config()
    has = int(text.num_hidden_layers)
    for name, value in vars(text).items():
        # `layer_types`, `mlp_layer_types`, `no_rope_layers`: an entry for every layer.
        if isinstance(value, list | tuple) and len(value) == has and "layer" in name:
            setattr(text, name, [value[layer] for layer in kept])
    text.num_hidden_layers = len(kept)


def _numbers(config: Any, layers: Layers, setting: str) -> list[int]:
    text = config.get_text_config()
    has = int(text.num_hidden_layers)
    kept = list(range(layers)) if isinstance(layers, int) else list(layers)
    if kept[-1] >= has:
        value, counted = (layers, "") if isinstance(layers, int) else (kept, ", counted from 0")
        raise ModelError(
            f"{setting} = {value}, but {text.model_type} has {has} layers here{counted}: lower it, "
            "or set it to null for all of them"
        )
    return kept


def _only(model: Any, kept: Sequence[int]) -> Any:
    """A model of the same kind with these layers alone, in their order.

    It is made anew: layers know their number, by which they keep keys and values.
    """
    import torch

    name, _ = layers_of(model)
    config = deepcopy(model.config)
    describe_layers(config, kept)
    renamed = {f"{name}.{old}.": f"{name}.{new}." for new, old in enumerate(kept)}
    weights = {}
    for key, weight in model.state_dict().items():
        if not key.startswith(f"{name}."):
            weights[key] = weight
            continue
        old = f"{name}.{key.removeprefix(f'{name}.').partition('.')[0]}."
        if old in renamed:
            weights[renamed[old] + key.removeprefix(old)] = weight
    with torch.random.fork_rng(devices=[]):  # the weights it starts with are not kept
        smaller = type(model)(config).to(model.dtype)
    smaller.load_state_dict(weights)
    return smaller
