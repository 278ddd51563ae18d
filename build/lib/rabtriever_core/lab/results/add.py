"""Take results into the stored ones, with what made them."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from rabtriever_core.config import Settings
from rabtriever_core.config.params_file import changed_settings, default_settings
from rabtriever_core.config.retired import current_values
from rabtriever_core.errors import ArtifactError, ConfigError
from rabtriever_core.evaluation.results import Results
from rabtriever_core.lab.ablation.report import PLAN
from rabtriever_core.lab.results.dev import on_dev
from rabtriever_core.lab.results.stored import BENCHMARK, store
from rabtriever_core.stages.registry import STAGES, stage_named
from rabtriever_core.workspace import PARAMS, Workspace, provenance
from rabtriever_core.workspace.artifacts import ArtifactMeta, load_artifact
from rabtriever_core.workspace.atomic import copy_file, write_json

MEASUREMENTS = "measurements"


def add(path: Path, folder: Path, name: str | None = None) -> None:
    """Store what a workspace, or a folder of results, holds.

    Args:
        path: the workspace; or what `rabtriever lab benchmark` or `lab ablate --out X/ablations`
            left, which is copied over what is stored.
        folder: of all stored results.
        name: see `add_workspace`.

    Raises:
        ArtifactError: as `add_workspace`.
    """
    # Settings may lie beside stored results, and ablations in a workspace.
    if any(path.glob(f"*/seed-*/{BENCHMARK}")):
        shutil.copytree(path, folder, dirs_exist_ok=True, copy_function=_put)
    elif (path / PARAMS).is_file():
        add_workspace(path, folder, name)
    elif any(path.glob(f"ablations/*/{PLAN}")):
        shutil.copytree(path, folder, dirs_exist_ok=True, copy_function=_put)
    else:
        raise ArtifactError(f"{path} is neither a workspace nor a folder of stored results")


def _put(source: str, target: str) -> None:
    copy_file(Path(source), Path(target))


def add_workspace(root: Path, folder: Path, name: str | None = None) -> Path:
    """Store a workspace's benchmark and measurements; returns the seed's folder.

    Commands are made from the settings that the artifacts themselves record; the machine is the
    one this runs on, so add a workspace where it was built.

    Args:
        root: the workspace.
        folder: of all stored results.
        name: of the data set's folder; the data set's own when unset.

    Raises:
        ArtifactError: the report is missing, damaged, or older than the artifacts beside it.
        ConfigError: the name cannot be a folder's.
    """
    workspace = Workspace.open(root)
    artifacts = {
        stage: load_artifact(workspace.artifact(stage))
        for stage in stage_named("benchmark_report").inputs
    }
    parents = {stage: artifact.hash for stage, artifact in artifacts.items()}
    report = load_artifact(workspace.reports, parents)
    results = Results.read(workspace.root)
    dataset = name or str(results.benchmark["dataset"]["name"])
    if Path(dataset).name != dataset or dataset in ("ablations", MEASUREMENTS):
        raise ConfigError(f"--name {dataset!r}: expected a plain name for a folder")
    settings = recorded_settings(workspace)
    facts = {
        "command": shlex.join(
            ["rabtriever", "run", "all", *(f"--set={k}={_yaml(v)}" for k, v in settings.items())]
        ),
        "settings": settings,
        "versions": report.meta.versions,
        "commit_when_added": provenance.commit(),
        "machine": provenance.machine(),
        "artifacts": parents,
        "dev": on_dev({stage: artifact.meta.metrics for stage, artifact in artifacts.items()}),
    }
    seed = store(results, folder / dataset, facts)
    _copy_measurements(workspace, folder / MEASUREMENTS, dataset, facts["machine"])
    return seed


def recorded_settings(workspace: Workspace) -> dict[str, Any]:
    """Settings other than the defaults that made a workspace's artifacts, by dotted name.

    Raises:
        ArtifactError: an artifact is missing or damaged.
    """
    values = default_settings().model_dump(mode="json")
    for stage in STAGES:
        meta: ArtifactMeta = load_artifact(workspace.artifact(stage.name)).meta
        for section, recorded in meta.config.items():
            *outer, last = section.split(".")
            if (outer or [last])[0] not in values:
                continue  # a section that is no more
            target = values
            for part in outer:
                target = target[part]
            target[last] = recorded
    values["index"].pop("url", None)  # an address of no use to others
    return changed_settings(Settings.model_validate(current_values(Settings, values)))


def _copy_measurements(workspace: Workspace, target: Path, dataset: str, machine: Any) -> None:
    """What the measuring commands left, with the machine where they do not say it themselves."""
    for path in sorted(workspace.measurements.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "rows" not in content:
            continue
        content.setdefault("machine", machine)
        content.setdefault("command", f"rabtriever lab measure-{path.stem}")
        content.setdefault("dataset", dataset)
        write_json(target / f"{dataset}-{path.stem}.json", content, indent=1)


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
