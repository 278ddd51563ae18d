"""dvc.yaml from the table of stages: `dvc repro` and Dagster run the same chain."""

from collections.abc import Iterator, Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from rabtriever_core.config.component import shaping_names
from rabtriever_core.config.params_file import default_settings
from rabtriever_core.models.known_models import KNOWN_MODELS
from rabtriever_core.models.model_source import TINY
from rabtriever_core.stages.registry import STAGES, Stage
from rabtriever_core.workspace import PARAMS
from rabtriever_core.workspace.atomic import write_text

PIPELINE = "dvc.yaml"

_HEADER = """\
# Written by `rabtriever` from its table of stages and the settings in params.yaml: do not edit.
# Stages of your own belong in the dvc.yaml of a folder of their own.
# `dvc repro` runs what changed, `dvc metrics show` and `dvc plots show` display the results.
"""

_TRAINED = ("backbone", "bi_encoder", "teacher", "student")


def sync_pipeline(root: Path) -> bool:
    """Bring a workspace's dvc.yaml up to date with this package and with params.yaml.

    DVC then sees the versions of the stages, and every setting in params.yaml that shapes a result.

    Returns:
        Whether it changed.

    Raises:
        OSError: it cannot be written.
    """
    path, text = root / PIPELINE, dvc_yaml(_params(root / PARAMS), root)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def dvc_yaml(params: Mapping[str, Any], root: Path = Path()) -> str:
    """Text of dvc.yaml.

    Args:
        params: content of params.yaml. DVC reads the values there by itself, and only of what is
            there; what is not has its default.
        root: the workspace.
    """
    import yaml

    content = {
        "stages": {stage.name: _entry(stage, params, root) for stage in STAGES},
        "metrics": ["reports/benchmark.json"],
        "plots": [
            {f"artifacts/{name}/history.csv": {"x": "step", "y": "loss", "title": f"{name}: loss"}}
            for name in _TRAINED
        ],
    }
    return _HEADER + yaml.safe_dump(content, sort_keys=False, width=100)


def _entry(stage: Stage, params: Mapping[str, Any], root: Path) -> dict[str, Any]:
    raw_data = [_value(params, "dataset.folder")] if not stage.inputs else []
    read = [f"artifacts/{name}" for name in stage.used_inputs(partial(_value_now, params))]
    return {
        "desc": stage.summary,
        # The workspace is where this file is, whatever RABTRIEVER_WORKSPACE says. The version makes
        # DVC run the stage again where a new package has another one.
        "cmd": f"rabtriever run {stage.name} --workspace . --code-version {stage.version}",
        "deps": raw_data + read + _own_model(stage, params, root),
        "params": list(_settings(stage, params)),
        # The stage replaces its artifact itself, in one move: DVC must not delete it beforehand.
        "outs": [{stage.out: {"persist": True}}],
    }


_MODELS = {
    "backbone": ("backbone.model", TINY),
    "bi_encoder": ("bi_encoder.encoder", "backbone"),
}
"""Stage → the setting that names a model it reads, and the value that names none."""


def _own_model(stage: Stage, params: Mapping[str, Any], root: Path) -> list[str]:
    """The folder or file of a local model, which DVC is to watch.

    By its path, and not as `${backbone.model}`: DVC would look for a folder when that names a hub
    id.
    """
    if stage.name not in _MODELS:
        return []
    setting, none = _MODELS[stage.name]
    model = _value_now(params, setting)
    path, root = (root / Path(str(model)).expanduser()).resolve(), root.resolve()
    if not model or model == none or model in KNOWN_MODELS or not path.exists():
        return []
    return [str(path.relative_to(root) if path.is_relative_to(root) else path)]


def _settings(stage: Stage, params: Mapping[str, Any]) -> Iterator[str]:
    """Settings that shape the stage and are in params.yaml; whole sections where all of them do."""
    for section in stage.sections:
        for name in shaping_names(default_settings(), section):
            if _has(params, name):
                yield name


def _value(params: Mapping[str, Any], name: str) -> str:
    """A setting for DVC to read from params.yaml; its default where it is not there."""
    return f"${{{name}}}" if _has(params, name) else str(attrgetter(name)(default_settings()))


def _value_now(params: Mapping[str, Any], name: str) -> Any:
    """A setting's value in params.yaml; its default where it is not there."""
    if not _has(params, name):
        return attrgetter(name)(default_settings())
    value: Any = params
    for part in name.split("."):
        value = value[part]
    return value


def _has(params: Any, name: str) -> bool:
    for part in name.split("."):
        if not isinstance(params, Mapping) or part not in params:
            return False
        params = params[part]
    return True


def _params(path: Path) -> Mapping[str, Any]:
    import yaml

    values = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return values if isinstance(values, Mapping) else {}


if __name__ == "__main__":
    sync_pipeline(Path())
