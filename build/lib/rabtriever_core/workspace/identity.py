"""What makes an artifact the wanted one: settings, inputs, data, and the stage's version."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

FIRST_VERSION = 1
"""Of a stage whose artifact says none: artifacts had no version before stages had one."""


class Identity(BaseModel):
    """All that an artifact's content follows from.

    Not among it: the version of this package and of the libraries, where and on what the stage ran.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    version: int
    """Of the stage's code; raised by hand where a change of the code changes results."""
    config: dict[str, Any]
    """Section of the settings → its values."""
    parents: dict[str, str]
    """Input artifact → content hash."""
    dataset: str
    """Fingerprint of the data set."""

    @property
    def key(self) -> str:
        """Hash of all of it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def differences(made: Identity, wanted: Identity, defaults: Mapping[str, Any]) -> list[str]:
    """Why an artifact is not the wanted one, in words; nothing where it is.

    A setting that the artifact's record lacks came with a later release of this package. Its
    default stands for what was done before, so only another value counts. A setting or an input
    that is wanted no more does not count: where that changes results, the setting that chooses the
    input differs too, or the stage's version was raised.

    Args:
        made: what the artifact was made from.
        wanted: what it would be made from now.
        defaults: dotted name of a setting → default.
    """
    found = []
    if made.version != wanted.version:
        found.append(f"the stage's code is version {wanted.version} (was {made.version})")
    found += _settings(flat(made.config), flat(wanted.config), defaults)
    parents = list(_inputs(made.parents, wanted.parents))
    if made.dataset != wanted.dataset and not parents:
        found.append("the data set changed")
    return found + parents


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result


def _settings(
    made: Mapping[str, Any], wanted: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    for name, value in wanted.items():
        if _replaced(name, made):
            continue  # its section was null: told under the section's own name
        if any(other.startswith(f"{name}.") for other in made):
            yield f"{name} = {_shown(value)} (was set)"
        elif (before := made.get(name, defaults.get(name, value))) != value:
            yield f"{name} = {_shown(value)} (was {_shown(before)})"
    for name, before in made.items():
        if name not in wanted and any(other.startswith(f"{name}.") for other in wanted):
            yield f"{name} is set (was {_shown(before)})"


def _replaced(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a section above a setting is a plain value here, such as null."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in values for n in range(1, len(parts)))


def _inputs(made: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for name, hash_ in wanted.items():
        if name not in made:
            yield f"{name} is now an input"
        elif made[name] != hash_:
            yield f"{name} changed"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
