"""Artifacts of many variants side by side: what two of them have in common is built once.

Every stage gets a workspace of its own, named by the settings that shape it and what it is made
from; its inputs lie in it as hard links. Variants, plans and commands that agree on these settings
share it; the stage's own key decides whether it is up to date.
"""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from rabtriever_core.config import Settings
from rabtriever_core.config.params_file import params_yaml
from rabtriever_core.lab.ablation.sources import Source
from rabtriever_core.stages.identity import stage_config
from rabtriever_core.stages.registry import stage_named
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import PARAMS, Workspace
from rabtriever_core.workspace.artifacts import META, Artifact
from rabtriever_core.workspace.atomic import write_text

logger = logging.getLogger(__name__)


def ancestry(stage: str) -> list[str]:
    """A stage after all it is made from, in the order they run."""
    order: list[str] = []
    for input_ in stage_named(stage).inputs:
        order += [name for name in ancestry(input_) if name not in order]
    return [*order, stage]


def address(settings: Settings, stage: str) -> str:
    """Hash of what shapes a stage and those it is made from: settings and versions."""
    values = {
        stage.name: [stage.version, stage_config(settings, stage)]
        for stage in map(stage_named, ancestry(stage))
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


class ArtifactTree:
    """The workspaces of one data set."""

    def __init__(self, root: Path, source: Source) -> None:
        self.root, self.source = root.resolve(), source
        self._built: dict[Path, Artifact] = {}
        """What this process has seen to be up to date."""

    def workspace(self, settings: Settings, stage: str) -> Workspace:
        """Where a stage is built."""
        sections = {s.split(".")[0] for name in ancestry(stage) for s in stage_named(name).sections}
        seed = f"seed-{settings.runtime.seed}" if "runtime" in sections else "any-seed"
        return Workspace(self.root / seed / f"{stage}-{address(settings, stage)}", settings)

    def build(self, settings: Settings, stage: str) -> dict[str, Artifact]:
        """A stage's artifact and all it is made from, by stage; what is up to date is kept.

        Another process that builds the same one is waited for.

        Raises:
            RabtrieverError: as `run_stage`.
        """
        built: dict[str, Artifact] = {}
        for name in ancestry(stage):
            workspace = self.workspace(settings, name)
            if workspace.root not in self._built:
                inputs = {input_: built[input_] for input_ in stage_named(name).inputs}
                self._built[workspace.root] = self._build_one(workspace, name, inputs)
            built[name] = self._built[workspace.root]
        return built

    def _build_one(self, workspace: Workspace, stage: str, inputs: dict[str, Artifact]) -> Artifact:
        import filelock

        workspace.root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(workspace.root / ".lock"):
            write_text(workspace.root / PARAMS, params_yaml(workspace.settings))
            link_data(workspace, self.source)
            for name, artifact in inputs.items():
                link_folder(artifact.folder, workspace.artifact(name))
            target = workspace.artifact(stage)
            if self.source.workspace is not None and not target.exists():
                own = Workspace(self.source.workspace, workspace.settings)
                if (own.artifact(stage) / META).is_file():
                    link_folder(own.artifact(stage), target)
                    seconds = own.seconds()
                    if stage in seconds:
                        workspace.record_seconds(stage, seconds[stage])
            return run_stage(workspace, stage)


def link_data(workspace: Workspace, source: Source) -> None:
    """Make the raw data appear where the settings say, so that keys hold no machine's path."""
    folder = workspace.dataset_folder
    if folder == source.folder:
        return
    if folder.is_symlink() and folder.resolve() != source.folder.resolve():
        folder.unlink()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(source.folder, target_is_directory=True)


def link_folder(source: Path, target: Path) -> None:
    """Make `target` the same artifact as `source` by hard links; artifacts are never written to."""
    if target.is_dir() and _meta(target) == _meta(source):
        return
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, copy_function=_link)
    unfinished.rename(target)


def _meta(folder: Path) -> bytes:
    path = folder / META
    return path.read_bytes() if path.is_file() else b""


def _link(source: str, target: str) -> Any:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
    return target
