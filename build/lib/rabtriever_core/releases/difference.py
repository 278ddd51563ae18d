"""Two releases side by side: data, parts, settings, metrics."""

from collections.abc import Iterator, Mapping
from typing import Any

from rabtriever_core.config import Settings
from rabtriever_core.config.retired import current_values
from rabtriever_core.releases.record import Release


def difference(a: Release, b: Release) -> dict[str, Any]:
    """What differs between two releases; what is equal is left out.

    Returns:
        a, b (ids); data, parts, settings: name → [value of a, value of b]; metrics: `split system
        metric` → [a, b], all that either has; None stands for what one does not have.
    """
    return {
        "a": a.id,
        "b": b.id,
        "data": _changed(_data(a), _data(b)),
        "parts": _changed(a.parts, b.parts),
        "settings": _changed(_settings(a), _settings(b)),
        "metrics": _pairs(dict(_flat(a.metrics, " ")), dict(_flat(b.metrics, " "))),
    }


def _data(release: Release) -> dict[str, Any]:
    return {
        "dataset": release.dataset,
        "fingerprint": release.fingerprint,
        "raw": release.data,
        "documents": release.count,
        "commit": release.commit,
    }


def _settings(release: Release) -> dict[str, Any]:
    return dict(_flat(current_values(Settings, release.settings)))


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: pair for name, pair in _pairs(a, b).items() if pair[0] != pair[1]}


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [a.get(name), b.get(name)] for name in dict.fromkeys([*a, *b])}


def _flat(values: Mapping[str, Any], separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings by their path."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            for path, leaf in _flat(value, separator):
                yield f"{name}{separator}{path}", leaf
        else:
            yield name, value
