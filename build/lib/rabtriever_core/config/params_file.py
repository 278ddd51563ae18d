"""Write params.yaml from the settings' models: what people change, each with a short comment."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rabtriever_core.config.component import SHOWN, Component
from rabtriever_core.config.settings import Settings

_WIDTH = 100

_HEADER = """\
# Settings that people change. All others have their defaults and may be added here;
# docs/reference/settings.md lists every one. For a single run, leave this file as it is and use
# `rabtriever run STAGE --set teacher.schedule.epochs=3`, or the environment variable
# RABTRIEVER_TEACHER__SCHEDULE__EPOCHS=3. Secrets (QDRANT_API_KEY) belong in the environment only.
"""


def default_settings() -> Settings:
    """The defaults, whatever the environment says."""
    return Settings.model_construct()


def params_yaml(settings: Settings) -> str:
    """Text of params.yaml for these settings: what a new workspace shows, and what they change."""
    lines = _lines(settings, default_settings(), "", set())
    return _HEADER + "\n".join(lines) + "\n"


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


def _lines(
    model: Component, default: object, indent: str, described: set[type[Component]]
) -> Iterator[str]:
    """A component's fields as YAML; one that occurs again is not explained again."""
    explain = type(model) not in described
    plain = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        value, usual = getattr(model, name), getattr(default, name, None)
        if field.exclude or not (SHOWN in field.metadata or not indent or value != usual):
            continue
        # A preset sets more than people change: that stands there without a word.
        told = explain and (SHOWN in field.metadata or isinstance(value, Component))
        text = first_sentence(field.description or type(value).__doc__ or "") if told else ""
        if isinstance(value, Component):
            inner = list(_lines(value, usual, f"{indent}  ", described))
            if inner:
                yield from [] if indent else [""]
                yield from _commented(f"{indent}{name}:", text)
                yield from inner
        else:
            yield from _commented(f"{indent}{name}: {_scalar(plain[name])}", text)
    described.add(type(model))


def first_sentence(text: str) -> str:
    """Up to the first full stop that a space follows, in one line."""
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def _commented(line: str, text: str) -> Iterator[str]:
    whole = f"{line}  # {text}" if text else line
    if len(whole) <= _WIDTH:
        yield whole
        return
    indent = line[: len(line) - len(line.lstrip())] + "# "
    yield from textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    yield line


def _scalar(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    import sys

    from rabtriever_core.config.presets import preset_settings

    Path(sys.argv[1]).write_text(params_yaml(preset_settings("pretrained")), encoding="utf-8")
