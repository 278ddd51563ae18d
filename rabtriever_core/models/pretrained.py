"""Pretrained causal language models and their tokenizers, from wherever `backbone.model` says."""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rabtriever_core.config import BackboneConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.model_source import ModelSource, model_source

logger = logging.getLogger(__name__)

_LFS = b"version https://git-lfs"
_HUB_SECONDS = 10


def load_pretrained(config: BackboneConfig, dtype: str, root: Path) -> tuple[Any, Any]:
    """A causal language model and its tokenizer.

    Args:
        config: which, and how many of its layers.
        dtype: torch's name of the type that its weights are held in.
        root: the workspace, which relative paths are relative to.

    Raises:
        ModelError: it is not found or not fetched, is damaged, quantized or an adapter, lacks
            weights that a causal language model has, or its tokenizer has tokens that it lacks.
    """
    where = f"backbone.model = {config.model!r}"
    source = model_source(config.model, root)
    # A download takes long enough to be watched.
    with _says_what_failed(where, bars=source.kind == "hub"):
        name, options = _place(source, where)
        found = _model_config(name, options, where)
        if config.layers is not None:
            keep_layers(found, config.layers)
        return _load(name, options, found, dtype, where)


def load_gguf(path: Path, dtype: str) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, its weights made plain numbers.

    Raises:
        ModelError: it cannot be read, or the package that reads it is missing.
    """
    with _says_what_failed(str(path)):
        name, options = _gguf(path)
        return _load(name, options, _model_config(name, options, str(path)), dtype, str(path))


def require_gguf(what: str) -> None:
    """Check that GGUF files can be read.

    Raises:
        ModelError: the package that reads them is missing.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f"{what} is read by the package gguf: `pip install 'rabtriever[gguf]'`")


def keep_layers(config: Any, layers: int) -> None:
    """Have a model's configuration describe its first layers only.

    Raises:
        ModelError: it has fewer.
    """
    text = config.get_text_config()
    has = int(text.num_hidden_layers)
    if layers > has:
        raise ModelError(
            f"backbone.layers = {layers}, but {text.model_type} has {has} layers here: lower it, "
            "or set it to null for all of them"
        )
    for name, value in vars(text).items():
        # `layer_types`, `mlp_layer_types`, `no_rope_layers`: an entry for every layer.
        if isinstance(value, list | tuple) and len(value) == has and "layer" in name:
            setattr(text, name, list(value[:layers]))
    text.num_hidden_layers = layers


def _load(
    name: str, options: dict[str, Any], config: Any, dtype: str, where: str
) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, **options)
    unpacked: dict[str, Any] = {}
    if "gguf_file" in options:
        from transformers import GgufConfig

        unpacked = {"quantization_config": GgufConfig(dequantize=True)}
    model, report = AutoModelForCausalLM.from_pretrained(
        name,
        config=config,
        dtype=getattr(torch, dtype),
        output_loading_info=True,
        **options,
        **unpacked,
    )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"{where}: its weights lack {', '.join(missing[:3])}"
            f"{f' and {len(missing) - 3} more' if missing[3:] else ''}, so it is no whole causal "
            "language model (an encoder or a classifier has no such head): choose another one"
        )
    # It would say that the weights are still packed, and refuse to be saved.
    vars(model.config).pop("quantization_config", None)
    return model, tokenizer


def _model_config(name: str, options: dict[str, Any], where: str) -> Any:
    """The model's configuration.

    Raises:
        ModelError: its weights are quantized.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(name, **options)
    quantized = getattr(config, "quantization_config", None)
    if quantized is not None and "gguf_file" not in options:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        raise ModelError(
            f"{where}: its weights are quantized ({method or type(quantized).__name__}), which "
            "cannot be trained further here: take the original weights, or a GGUF file"
        )
    return config


def _place(source: ModelSource, where: str) -> tuple[str, dict[str, Any]]:
    """What `from_pretrained` is given: a name, and options."""
    if source.kind == "hub":
        return source.named, {"local_files_only": not _hub_has(source.named, where)}
    if source.kind == "gguf" and source.path is not None:
        return _gguf(source.path)
    folder = source.folder()
    _check_files(folder, where)
    return str(folder), {"local_files_only": True}


def _gguf(path: Path) -> tuple[str, dict[str, Any]]:
    require_gguf(str(path))
    _check_pointer(path)
    return str(path.parent), {"gguf_file": path.name, "local_files_only": True}


def _check_files(folder: Path, where: str) -> None:
    """Check what a folder holds before a library stumbles over it.

    Raises:
        ModelError: it holds an adapter, no model, or pointers instead of files.
    """
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelError(
            f"{where} holds an adapter and no model: merge it into its model first (peft's "
            "`merge_and_unload`), then save model and tokenizer into one folder"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"{where}: there is no config.json in {folder}, so no model")
    for path in sorted(folder.iterdir()):
        if path.is_file():
            _check_pointer(path)


def _check_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise ModelError(
                f"{path} is a git-lfs pointer and not the file itself: run `git lfs pull` where it "
                "was cloned"
            )


def _hub_has(model: str, where: str) -> bool:
    """Whether the hub answers and has a model; asked once, and not for a minute.

    Raises:
        ModelError: it has none of that name, or not for this user.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(model, timeout=_HUB_SECONDS)
    except (HfHubHTTPError, HFValidationError) as error:
        raise ModelError(
            f"{where}: the workspace has no such folder, and the Hugging Face hub says: "
            f"{_first_line(error)}"
        ) from error
    except Exception as error:  # of whatever HTTP library the hub's client uses
        if not isinstance(try_to_load_from_cache(model, "config.json"), str):
            raise ModelError(
                f"{where} cannot be loaded: the workspace has no such folder, the Hugging Face hub "
                f"does not answer ({type(error).__name__}), and nothing of that name was "
                "downloaded before; give a folder with config.json, weights and tokenizer, a .gguf "
                "file, or smollm2, which comes from a package index"
            ) from error
        logger.warning("the Hugging Face hub does not answer: %s is read from its cache", model)
        return False
    return True


@contextlib.contextmanager
def quiet_transformers(*, bars: bool = False) -> Iterator[None]:
    """No reports of its own on a terminal or in a log, nor bars unless wanted."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    silenced = not bars and transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    if silenced:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if silenced:
            transformers_logging.enable_progress_bar()


@contextlib.contextmanager
def _says_what_failed(where: str, *, bars: bool = False) -> Iterator[None]:
    """One line for whatever a loader raises."""
    try:
        with quiet_transformers(bars=bars):
            yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # of every library that reads some format of weights
        raise ModelError(
            f"{where} cannot be loaded: {type(error).__name__}: {_first_line(error)}; give a hub "
            "id of a causal language model, a folder with config.json, weights and tokenizer, a "
            ".gguf file, or `tiny`"
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
