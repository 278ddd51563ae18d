"""The data sets of a sweep: BEIR folders, or workspaces whose settings and artifacts are reused."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rabtriever_core.config import DatasetConfig, Settings, load_settings
from rabtriever_core.config.params_file import default_settings, params_yaml
from rabtriever_core.data.dataset import qrels_files
from rabtriever_core.errors import ConfigError, DatasetError
from rabtriever_core.lab.ablation.plan import Override
from rabtriever_core.workspace import PARAMS
from rabtriever_core.workspace.atomic import write_text


@dataclass(frozen=True)
class Source:
    """A data set, and the settings that a plan starts from on it."""

    name: str
    folder: Path
    """Of the raw data, in BEIR layout."""
    params: Path
    """Where settings are read from."""
    dataset: DatasetConfig | None
    """What replaces the section `dataset`; nothing for a workspace."""
    workspace: Path | None
    """Finished artifacts there are taken over where they fit."""

    def settings(self, seed: int, overrides: Sequence[Override]) -> Settings:
        """Settings of one run.

        Raises:
            ConfigError: an override names no setting, or a value is invalid.
        """
        settings = load_settings(self.params, tuple(overrides))
        update: dict[str, object] = {
            "runtime": settings.runtime.model_copy(update={"seed": seed}),
        }
        if self.dataset is not None:
            chosen = {"name", "folder", "demo"}
            facts = {name: getattr(self.dataset, name) for name in chosen}
            update["dataset"] = settings.dataset.model_copy(update=facts)
        return settings.model_copy(update=update)


def open_source(path: Path, work: Path, params: Path | None = None) -> Source:
    """A folder in BEIR layout, or a workspace.

    Args:
        path: the folder.
        work: of the sweep; the settings that were started from are kept there.
        params: a params.yaml to start from; the workspace's own, or the defaults, when unset.

    Raises:
        ConfigError: `params` is missing, or a workspace's is invalid.
        DatasetError: it is neither, or lacks a file, or its name cannot be used.
    """
    path = path.resolve()
    if params is not None and not params.is_file():
        raise ConfigError(f"no settings {params}: give a params.yaml")
    own = path / PARAMS
    if own.is_file():
        dataset = load_settings(own).dataset
        folder = path / dataset.folder
        qrels_files(folder)
        if params is not None:
            return _made(dataset.name, folder, params, dataset, path)
        return Source(dataset.name, folder, own, None, path)
    qrels_files(path)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name).strip("-._")
    if not name:
        raise DatasetError(f"{path} has no usable name: rename it to letters, digits and dashes")
    started = work / name / PARAMS
    started.parent.mkdir(parents=True, exist_ok=True)
    if params is None:
        write_text(started, params_yaml(default_settings()))
    elif params.resolve() != started.resolve():
        shutil.copyfile(params, started)
    dataset = DatasetConfig(name=name, folder=Path("data") / name, demo=False)
    return _made(name, path, started, dataset, None)


def open_sources(paths: Sequence[Path], work: Path, params: Path | None = None) -> list[Source]:
    """Several data sets, of different names.

    Raises:
        ConfigError: two have the same name, or as `open_source`.
        DatasetError: as `open_source`.
    """
    sources = [open_source(path, work, params) for path in paths]
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"--data: more than one data set is named {', '.join(twice)}")
    return sources


def _made(
    name: str, folder: Path, params: Path, dataset: DatasetConfig, workspace: Path | None
) -> Source:
    return Source(name, folder, params, dataset, workspace)
