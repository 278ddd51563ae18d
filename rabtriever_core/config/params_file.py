"""Write params.yaml from the settings' models: every setting, with its docstring as comment."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rabtriever_core.config import Settings
from rabtriever_core.errors import ConfigError

_WIDTH = 100

_HEADER = """\
# Every setting of the pipeline. To change one for a single run, leave this file as it is and use
# `rabtriever run STAGE --set teacher.schedule.epochs=3`, or the environment variable
# RABTRIEVER_TEACHER__SCHEDULE__EPOCHS=3. Secrets (QDRANT_API_KEY) belong in the environment only.
# Keep every section: DVC records them with each artifact.
"""


def default_settings() -> Settings:
    """The defaults, whatever the environment says."""
    return Settings.model_construct()


def params_yaml(settings: Settings) -> str:
    """Text of params.yaml for these settings."""
    blocks = [_HEADER]
    described: set[type[BaseModel]] = set()
    for name in Settings.model_fields:
        section: BaseModel = getattr(settings, name)
        purpose = (type(section).__doc__ or "").strip().splitlines()[0]
        lines = [*_comment(purpose, ""), f"{name}:", *_lines(section, "  ", described)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def changed_settings(settings: Settings) -> dict[str, Any]:
    """Settings that differ from the defaults, by dotted name; the data set's place is none."""
    default = _flat(default_settings().model_dump(mode="json"), "")
    own = {"dataset.name", "dataset.folder", "dataset.demo"}
    return {
        name: value
        for name, value in _flat(settings.model_dump(mode="json"), "").items()
        if name not in own and default.get(name) != value
    }


def _flat(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return flat


def write_dataset_settings(params: Path, values: dict[str, Any]) -> None:
    """Change settings of the section `dataset` in place; comments and other values stay.

    Raises:
        ConfigError: the file is not valid YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    try:
        content = yaml.load(params) or {}
    except YAMLError as error:
        raise ConfigError(f"{params} is not valid YAML: {error}") from None
    section = content.setdefault("dataset", {})
    if any(name not in section or section[name] != value for name, value in values.items()):
        section.update(values)
        with params.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)


def _lines(model: BaseModel, indent: str, described: set[type[BaseModel]]) -> Iterator[str]:
    """A model's fields as YAML; a model that occurs again is not explained again."""
    explain = type(model) not in described
    described.add(type(model))
    plain = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        if field.exclude:
            continue
        value = getattr(model, name)
        nested = isinstance(value, BaseModel)
        line = f"{indent}{name}:" if nested else f"{indent}{name}: {_scalar(plain[name])}"
        text = " ".join((field.description or "").split()) if explain else ""
        if text and len(f"{line}  # {text}") <= _WIDTH:
            line = f"{line}  # {text}"
        elif text:
            yield from _comment(text, indent)
        yield line
        if nested:
            yield from _lines(value, f"{indent}  ", described)


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
    )


def _scalar(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    import sys

    Path(sys.argv[1]).write_text(params_yaml(default_settings()), encoding="utf-8")
