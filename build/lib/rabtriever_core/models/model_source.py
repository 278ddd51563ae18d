"""What a setting names as a model: tiny, a known model, a folder, a GGUF file, or a hub id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rabtriever_core.errors import ModelError
from rabtriever_core.models.known_models import KNOWN_MODELS, Role, model_folder
from rabtriever_core.workspace.content_hash import ContentHashes

TINY = "tiny"

_READ = frozenset({".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".tiktoken"})
"""Suffixes of files that `transformers` may read; model cards and pictures are none of them."""


_MADE_HERE: dict[Role, str] = {"language model": TINY, "encoder": "backbone"}


@dataclass(frozen=True)
class ModelSource:
    """A setting, understood."""

    kind: Literal["tiny", "known", "folder", "gguf", "hub"]
    named: str
    """As the setting has it."""
    setting: str
    """`section.name`."""
    path: Path | None = None
    """The folder or file; None for those that are not local, and for known models."""

    @property
    def where(self) -> str:
        """The setting and its value, for messages."""
        return f"{self.setting} = {self.named!r}"

    def content_hash(self, hashes: ContentHashes) -> str | None:
        """What the model is, apart from its name: sha256 of what is read of it.

        None for a tiny backbone, which is made here, and for the hub, which is not asked whether it
        has something newer. A known model is the wheel that it comes from, on any machine.

        Raises:
            ModelError: a local model holds nothing that could be read.
        """
        if self.kind == "known":
            return KNOWN_MODELS[self.named].sha256
        if self.path is None:
            return None
        files = _files(self.path)
        if not files:
            raise ModelError(
                f"{self.where}: there is no model in {self.path}; it needs "
                "config.json, weights and tokenizer"
            )
        return hashes.of(files)

    def folder(self) -> Path:
        """The folder of a local or fetched model.

        Raises:
            ModelError: it is not fetched, or not local.
        """
        if self.kind == "known":
            return model_folder(self.named)
        if self.kind != "folder" or self.path is None:
            raise ModelError(f"{self.where} is no folder")
        return self.path


def model_source(model: str, root: Path) -> ModelSource:
    """Understand `backbone.model`.

    Args:
        model: the setting.
        root: the workspace; relative paths are relative to it.

    Raises:
        ModelError: it names an encoder, or is a path at which nothing is.
    """
    if model == TINY:
        return ModelSource("tiny", model, "backbone.model")
    return _source(model, root, "backbone.model", "language model")


def encoder_source(model: str, root: Path) -> ModelSource:
    """Understand `bi_encoder.encoder`, where it is not the backbone.

    Args:
        model: the setting.
        root: the workspace; relative paths are relative to it.

    Raises:
        ModelError: it names a known language model, or is a path at which no folder is.
    """
    source = _source(model, root, "bi_encoder.encoder", "encoder")
    if source.kind == "gguf":
        raise ModelError(f"bi_encoder.encoder = {model!r}: an encoder is read from a folder")
    return source


def _source(model: str, root: Path, setting: str, role: Role) -> ModelSource:
    where = f"{setting} = {model!r}"
    known = [name for name, each in KNOWN_MODELS.items() if each.role == role]
    if model in known:
        return ModelSource("known", model, setting)
    if model in KNOWN_MODELS:
        what = {
            "encoder": "is an encoder, which reads no document before a query and answers nothing: "
            "take a language model",
            "language model": "is a language model, and no encoder: take one",
        }[KNOWN_MODELS[model].role]
        raise ModelError(f"{where} {what} ({', '.join(known)}, a hub id, a folder)")
    path = root / Path(model).expanduser()
    if path.is_dir():
        return ModelSource("folder", model, setting, path)
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ModelError(f"{where}: {path} is a file, and no .gguf: give its folder")
        return ModelSource("gguf", model, setting, path)
    if _is_path(model):
        raise ModelError(
            f"{where} cannot be loaded: there is no {path} (relative paths are relative to the "
            "workspace); give a folder with config.json, weights and tokenizer, a .gguf file, a "
            f"hub id, {', '.join(known)} or {_MADE_HERE[role]}"
        )
    return ModelSource("hub", model, setting)


def _is_path(model: str) -> bool:
    """Whether no hub id looks like this: those are `name` or `owner/name`."""
    return (
        model.startswith(("/", ".", "~"))
        or model.endswith("/")
        or model.count("/") > 1
        or "\\" in model
        or model.lower().endswith(".gguf")
    )


def _files(path: Path) -> dict[str, Path]:
    """What may be read of a model, by its name there."""
    if path.is_file():
        return {path.name: path}
    found = [p for p in path.iterdir() if p.suffix in _READ and not p.name.startswith(".")]
    found += (path / "additional_chat_templates").glob("*.jinja")
    return {p.relative_to(path).as_posix(): p for p in sorted(found) if p.is_file()}
