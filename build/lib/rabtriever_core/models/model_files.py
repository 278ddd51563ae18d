"""Where the files of a model are, and what is wrong with them before a library stumbles over it."""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rabtriever_core.errors import ModelError
from rabtriever_core.models.model_source import ModelSource

logger = logging.getLogger(__name__)

_LFS = b"version https://git-lfs"
_HUB_SECONDS = 10


@contextlib.contextmanager
def model_files(source: ModelSource, instead: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `from_pretrained` is given for a model: a name, and options.

    Whatever the libraries raise in the block that loads it becomes one line.

    Args:
        source: the model.
        instead: what the setting may be, for that line.

    Raises:
        ModelError: it is not found or not fetched, is an adapter, or is damaged.
    """
    try:
        # A download takes long enough to be watched.
        with quiet_transformers(bars=source.kind == "hub"):
            yield _place(source, instead)
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # of every library that reads some format of weights
        raise ModelError(
            f"{source.where} cannot be loaded: {type(error).__name__}: {_first_line(error)}; "
            f"give {instead}"
        ) from error


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


def require_gguf(what: str) -> None:
    """Check that GGUF files can be read.

    Raises:
        ModelError: the package that reads them is missing.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f"{what} is read by the package gguf: `pip install 'rabtriever[gguf]'`")


def _place(source: ModelSource, instead: str) -> tuple[str, dict[str, Any]]:
    if source.kind == "hub":
        return source.named, {"local_files_only": not _hub_has(source, instead)}
    if source.kind == "gguf" and source.path is not None:
        require_gguf(str(source.path))
        _check_pointer(source.path)
        options = {"gguf_file": source.path.name, "local_files_only": True}
        return str(source.path.parent), options
    folder = source.folder()
    _check_folder(folder, source.where)
    return str(folder), {"local_files_only": True}


def _check_folder(folder: Path, where: str) -> None:
    """Check what a folder holds.

    Raises:
        ModelError: it holds an adapter, no model, or pointers instead of files.
    """
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(
                f"{where} holds an adapter and no model: merge it into its model first (peft's "
                "`merge_and_unload`), then save model and tokenizer into one folder"
            )
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


def _hub_has(source: ModelSource, instead: str) -> bool:
    """Whether the hub answers and has a model; asked once, and not for a minute.

    False where it does not answer, and the model was downloaded before.

    Raises:
        ModelError: the hub has none of that name, or not for this user; or it does not answer, and
            nothing was downloaded.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    model = source.named
    try:
        HfApi().model_info(model, timeout=_HUB_SECONDS)
    except (HfHubHTTPError, HFValidationError) as error:
        raise ModelError(
            f"{source.where} cannot be loaded: the workspace has no such folder, and the Hugging "
            f"Face hub says: {_first_line(error)}; give {instead}"
        ) from error
    except Exception as error:  # of whatever HTTP library the hub's client uses
        if not isinstance(try_to_load_from_cache(model, "config.json"), str):
            raise ModelError(
                f"{source.where} cannot be loaded: the workspace has no such folder, the Hugging "
                f"Face hub does not answer ({type(error).__name__}), and nothing of that name was "
                f"downloaded before; give {instead}"
            ) from error
        logger.warning("the Hugging Face hub does not answer: %s is read from its cache", model)
        return False
    return True


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
