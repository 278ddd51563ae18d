"""Pretrained causal language models and their tokenizers, from wherever `backbone.model` says."""

from functools import partial
from pathlib import Path
from typing import Any

from rabtriever_core.config import BackboneConfig
from rabtriever_core.config.layers import Layers
from rabtriever_core.errors import ModelError
from rabtriever_core.models.layers import load_with_layers
from rabtriever_core.models.model_files import model_files
from rabtriever_core.models.model_source import ModelSource, model_source

_INSTEAD = (
    "a hub id of a causal language model, a folder with config.json, weights and tokenizer, a "
    ".gguf file, smollm2, or tiny"
)


def load_pretrained(config: BackboneConfig, dtype: str, root: Path) -> tuple[Any, Any]:
    """A causal language model and its tokenizer.

    Args:
        config: which, and which of its layers.
        dtype: torch's name of the type that its weights are held in.
        root: the workspace, which relative paths are relative to.

    Raises:
        ModelError: it is not found or not fetched, is damaged, quantized or an adapter, lacks
            weights that a causal language model has, or has fewer layers.
    """
    return _load(model_source(config.model, root), dtype, config.layers)


def load_gguf(path: Path, dtype: str) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, its weights made plain numbers.

    Raises:
        ModelError: it cannot be read, or the package that reads it is missing.
    """
    return _load(ModelSource("gguf", str(path), "file", path), dtype, None)


def _load(source: ModelSource, dtype: str, layers: Layers | None) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    with model_files(source, _INSTEAD) as (name, options):
        config = AutoConfig.from_pretrained(name, **options)
        unpacked = _unpacking(config, source)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        load = partial(
            AutoModelForCausalLM.from_pretrained,
            name,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
            **options,
            **unpacked,
        )
        model, report = load_with_layers(
            lambda cut: load(config=cut), config, layers, "backbone.layers"
        )
    if missing := sorted(report["missing_keys"]):
        more = f" and {len(missing) - 3} more" if missing[3:] else ""
        raise ModelError(
            f"{source.where}: its weights lack {', '.join(missing[:3])}{more}, so it is no whole "
            "causal language model (an encoder or a classifier has no such head): choose another"
        )
    # It would say that the weights are still packed, and refuse to be saved.
    vars(model.config).pop("quantization_config", None)
    return model, tokenizer


def _unpacking(config: Any, source: ModelSource) -> dict[str, Any]:
    """Options that have quantized weights read as plain numbers.

    Raises:
        ModelError: they cannot be.
    """
    if source.kind == "gguf":
        from transformers import GgufConfig

        return {"quantization_config": GgufConfig(dequantize=True)}
    quantized = getattr(config, "quantization_config", None)
    if quantized is not None:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        raise ModelError(
            f"{source.where}: its weights are quantized ({method or type(quantized).__name__}), "
            "which cannot be trained further here: take the original weights, or a GGUF file"
        )
    return {}
