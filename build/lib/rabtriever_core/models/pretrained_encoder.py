"""Open a pretrained encoder: a hub id or a folder, pooled as sentence-transformers would."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from rabtriever_core.config import PromptConfig, RuntimeConfig
from rabtriever_core.config.layers import Layers
from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import pick_device
from rabtriever_core.models.encoder import Encoder, EncoderPrompt, EncoderSpec, Pooling
from rabtriever_core.models.layers import load_with_layers
from rabtriever_core.models.model_files import model_files
from rabtriever_core.models.model_source import ModelSource
from rabtriever_core.models.prompt import text_ids

_OLD_NAMES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}
_INSTEAD = "minilm, a hub id of an encoder, or a folder with config.json, weights and tokenizer"
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


def pretrained_encoder(
    source: ModelSource,
    prompt: PromptConfig,
    runtime: RuntimeConfig,
    layers: Layers | None = None,
) -> Encoder:
    """A pretrained encoder, ready to be trained.

    Args:
        source: which: a hub id, or a folder in the layout of transformers or
            sentence-transformers.
        prompt: how long texts may be.
        runtime: device and precision.
        layers: how many are kept, the first ones, or which; None for all.

    Raises:
        ModelError: it is not found, has fewer layers, or its vectors are not made by pooling token
            states alone.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    setting = source.where
    with model_files(source, _INSTEAD) as (model, options):
        tokenizer = AutoTokenizer.from_pretrained(model, **options)
        load = partial(AutoModel.from_pretrained, model, output_loading_info=True, **options)
        loaded, report = load_with_layers(
            lambda cut: load(config=cut),
            AutoConfig.from_pretrained(model, **options),
            layers,
            "bi_encoder.layers",
        )
        spec = _spec(model, loaded.config, tokenizer, prompt, setting)
    # A pooler that many checkpoints lack is not used.
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise ModelError(
            f"{setting}: its weights lack {', '.join(missing[:3])}, so it is no whole encoder: "
            f"choose {_INSTEAD}"
        )
    if loaded.config.is_encoder_decoder:
        raise ModelError(f"{setting} has an encoder and a decoder: choose a model of one part")
    loaded = loaded.float().to(pick_device(runtime)).eval()
    return Encoder(
        loaded,
        EncoderPrompt(spec, tokenizer),
        runtime=runtime,
        batch_multiple=runtime.batch_multiple,
    )


def _spec(
    model: str, config: Any, tokenizer: Any, prompt: PromptConfig, setting: str
) -> EncoderSpec:
    start, end = _special_tokens(tokenizer, setting)
    prefixes = _prefixes(model, tokenizer)
    frame = len(start) + len(end) + max(map(len, prefixes))
    longest = _longest(model, config, tokenizer) - frame
    return EncoderSpec(
        pooling=_pooling(model, setting),
        start=start,
        end=end,
        pad_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
        max_query_tokens=min(prompt.max_query_tokens, longest),
        max_document_tokens=min(prompt.max_document_tokens, longest),
        query_prefix=prefixes[0],
        document_prefix=prefixes[1],
    )


def _special_tokens(tokenizer: Any, setting: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and after a text.

    Raises:
        ModelError: the text does not stand in one piece between them.
    """
    bare = tokenizer("text", add_special_tokens=False)["input_ids"]
    framed = tokenizer("text")["input_ids"]
    for start in range(len(framed) - len(bare) + 1):
        if framed[start : start + len(bare)] == bare:
            return tuple(framed[:start]), tuple(framed[start + len(bare) :])
    raise ModelError(f"{setting}: its tokenizer changes texts when it adds special tokens")


def _longest(model: str, config: Any, tokenizer: Any) -> int:
    """Tokens that the model is meant to read, special ones included."""
    said = (_settings_file(model, "sentence_bert_config.json") or {}).get("max_seq_length")
    limits = [said, getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return min(int(limit) for limit in limits if limit)


def _prefixes(model: str, tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids of what the model was trained to see before a query and before a document."""
    prompts = (_settings_file(model, "config_sentence_transformers.json") or {}).get("prompts", {})
    texts = [prompts.get("query", ""), prompts.get("document", prompts.get("passage", ""))]
    query, document = map(tuple, text_ids(tokenizer, texts))
    return query, document


def _pooling(model: str, setting: str) -> Pooling:
    """What sentence-transformers' files say; the mean where there are none.

    Raises:
        ModelError: the model has a part that is not supported.
    """
    modules = _settings_file(model, "modules.json") or []
    for module in modules:
        if module["type"].rsplit(".", 1)[-1] not in _KNOWN_MODULES:
            raise ModelError(
                f"{setting} has a part {module['type']}; only pooled token states are supported "
                f"({', '.join(_KNOWN_MODULES)}): choose another encoder"
            )
    folders = [m["path"] for m in modules if m["type"].endswith("Pooling")]
    if not folders:
        return "mean"
    settings = _settings_file(model, f"{folders[0]}/config.json") or {}
    # Before version 6, sentence-transformers wrote one switch per mode.
    on = settings.get("pooling_mode") or [
        _OLD_NAMES.get(name, name)
        for name, value in settings.items()
        if name.startswith("pooling_mode") and value
    ]
    modes = [on] if isinstance(on, str) else list(on)
    supported: tuple[Pooling, ...] = ("mean", "cls", "lasttoken")
    for pooling in supported:
        if modes == [pooling]:
            return pooling
    raise ModelError(
        f"{setting} pools by {' and '.join(modes) or 'nothing'}; supported are "
        f"{', '.join(supported)}: choose another encoder"
    )


def _settings_file(model: str, name: str) -> Any:
    """The content of one of a model's JSON files; None if it has no such file.

    A hub that does not answer is an error: without its files a model would be pooled in another
    way. Where no hub may be asked, what lies in its cache is all there is.
    """
    from huggingface_hub import is_offline_mode
    from transformers.utils import cached_file

    path = cached_file(
        model,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=not is_offline_mode(),
    )
    return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
