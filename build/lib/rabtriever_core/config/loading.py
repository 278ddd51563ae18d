"""Read settings: `params.yaml`, the environment over it, `--set` over both."""

import difflib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from rabtriever_core.config.component import Component, component_of, is_optional, setting_names
from rabtriever_core.config.retired import REASONS, current_values
from rabtriever_core.config.secrets import SECRETS, without_secrets
from rabtriever_core.config.settings import Settings
from rabtriever_core.config.yaml_text import parsed_yaml
from rabtriever_core.errors import ConfigError

logger = logging.getLogger(__name__)

_PREFIX = "RABTRIEVER_"


class _Layer(NamedTuple):
    """Nested values, and where they were set."""

    origin: str
    values: dict[str, Any]


def load_settings(params: Path | None, overrides: tuple[str, ...] = ()) -> Settings:
    """Read `params.yaml`, then the environment, then `section.name=value` overrides.

    What nobody sets has its default, at any depth; everything has without a file. Retired settings
    are warned of.

    Raises:
        ConfigError: the file is missing or malformed, a setting is unknown or its value invalid;
            names each such setting, where it was set, and what is allowed.
    """
    layers = [] if params is None else [_Layer(str(params), _file(params))]
    layers += [*_environment(), *map(_override, overrides), *_qdrant()]
    # A nested setting's default depends on its place: a stage's schedule has one of its own.
    values = Settings.model_construct().model_dump()
    found = _Found()
    for layer in layers:
        current = current_values(Settings, layer.values, tell=partial(_warn, layer.origin))
        values = _laid_over(Settings, values, current, layer.origin, found)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        found.problems += _invalid(error, found.origins)
    if found.problems:
        raise ConfigError("invalid settings: " + "\n".join(dict.fromkeys(found.problems)))
    return settings


def _file(params: Path) -> dict[str, Any]:
    try:
        text = params.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no {params}: run `rabtriever init` in this folder first") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{params} is not in UTF-8 ({error.reason}): save it as UTF-8") from None
    values = parsed_yaml(text, str(params)) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{params} must be a mapping of sections, got {type(values).__name__}")
    return values


def _environment() -> Iterator[_Layer]:
    """A layer per variable, whole sections first; what is not JSON is text."""
    found = sorted(name for name in os.environ if name.upper().startswith(_PREFIX))
    for variable in sorted(found, key=lambda name: name.count("__")):
        path = variable[len(_PREFIX) :].lower().split("__")
        # Without a second part it is a section, or none of ours (RABTRIEVER_WORKSPACE).
        if len(path) == 1 and path[0] not in {*Settings.model_fields, *REASONS}:
            continue
        text = os.environ[variable]
        yield _Layer(variable, _nested(path, _secret(text) if path[-1] in SECRETS else _json(text)))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _secret(text: str) -> str | None:
    """A secret is text, one of digits too."""
    return None if text.strip() in ("", "null") else text


def _qdrant() -> Iterator[_Layer]:
    """Qdrant's own variables, which win over everything else."""
    for variable, name in (("QDRANT_URL", "url"), ("QDRANT_API_KEY", "api_key")):
        if os.environ.get(variable, "").strip():
            yield _Layer(variable, {"index": {name: os.environ[variable]}})


def _override(text: str) -> _Layer:
    path, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set {text!r}: expected section.name=value")
    if path.rpartition(".")[2] in SECRETS:
        return _Layer("--set", _nested(path.split("."), _secret(value)))
    parsed = parsed_yaml(value, f"--set {without_secrets(text)!r}: the value")
    return _Layer("--set", _nested(path.split("."), parsed))


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    nested: dict[str, Any] = value
    return nested


@cache
def _warn(origin: str, name: str, text: str) -> None:
    """Once per process: a deployment reads its settings every few seconds."""
    logger.warning("%s: %s %s", origin, name, text)


@dataclass
class _Found:
    """What is learnt of the layers on the way."""

    origins: dict[str, str] = field(default_factory=dict)
    """Dotted name → where it was set last."""
    problems: list[str] = field(default_factory=list)


def _laid_over(
    model: type[Component],
    below: Mapping[str, Any],
    values: Mapping[str, Any],
    origin: str,
    found: _Found,
    section: str = "",
) -> dict[str, Any]:
    """Known values over those below; what is misnamed becomes a problem."""
    merged = dict(below)
    for key, value in values.items():
        name, known = f"{section}{key}", model.model_fields.get(key)
        nested = component_of(known) if known else None
        if known is None:
            found.problems.append(f"{origin}: {name}: no such setting; {_nearest(name, model)}")
        elif nested and isinstance(value, Mapping):
            merged[key] = _laid_over(nested, below.get(key) or {}, value, origin, found, f"{name}.")
        elif nested and value is not None:
            found.problems.append(
                f"{origin}: {name} = {_shown(name, value)}: a section has no value of its own; "
                "set one of its settings."
            )
        # A section that is left empty in a file has its defaults.
        elif not nested or is_optional(known):
            merged[key] = value
            found.origins[name] = origin
    return merged


def _nearest(name: str, model: type[Component]) -> str:
    """The setting of the same name elsewhere, else a sibling, else any that is spelt like it."""
    section, _, key = name.rpartition(".")
    names = list(setting_names(Settings))
    same = [known for known in names if known.rpartition(".")[2] == key]
    siblings = difflib.get_close_matches(key, model.model_fields, n=1)
    near = (
        difflib.get_close_matches(name, same, n=1, cutoff=0)
        or [f"{section}.{sibling}".lstrip(".") for sibling in siblings]
        or difflib.get_close_matches(name, names, n=1)
    )
    return f"did you mean {near[0]}?" if near else "docs/reference/settings.md lists them all."


def _invalid(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    """A line for each wrong value; pydantic has one for each type that it might have had."""
    expected: dict[str, list[str]] = {}
    for each in error.errors():
        name = _name(each["loc"])
        shown = "" if _says_itself(each) else " = " + _shown(name, each.get("input"))
        message = each["msg"].removeprefix("Value error, ")
        expected.setdefault(f"{_origin(name, origins)}: {name}{shown}".rstrip(": "), []).append(
            message
        )
    for what, messages in expected.items():
        yield f"{what}: {' or '.join(dict.fromkeys(messages))}."


def _name(location: tuple[int | str, ...]) -> str:
    """The setting's dotted name, with the place in a list; without pydantic's names of types."""
    model: type[Component] | None = Settings
    parts = []
    for part in location:
        if model and part in model.model_fields:
            parts.append(str(part))
            model = component_of(model.model_fields[str(part)])
        elif isinstance(part, int):
            parts.append(str(part))
    return ".".join(parts)


def _origin(name: str, origins: Mapping[str, str]) -> str:
    """Where a setting was set, or what is in its section."""
    places = [
        origin
        for set_, origin in origins.items()
        if f"{name}.".startswith(f"{set_}.") or f"{set_}.".startswith(f"{name}.") or not name
    ]
    return ", ".join(dict.fromkeys(places))


def _says_itself(error: Mapping[str, Any]) -> bool:
    """Whether the message of a whole section names what is wrong."""
    return error["type"] == "value_error" and isinstance(error.get("input"), dict)


def _shown(name: str, value: Any) -> str:
    """A value as the messages have it; what may be the text of a whole section is not repeated."""
    hidden = SECRETS & set(name.split(".")) or (isinstance(value, str) and _names_secret(value))
    return "…" if hidden else without_secrets(repr(value))


def _names_secret(text: str) -> bool:
    return any(name in text for name in SECRETS)
