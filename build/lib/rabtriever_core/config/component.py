"""Base of all settings, and the markers that say what a setting is."""

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

OPERATES: Final = "operates"
SHOWN: Final = "shown"

_T = TypeVar("_T")

Operating = Annotated[_T, OPERATES]
"""A setting, or a whole section, that no artifact depends on: changing it rebuilds nothing."""
Shown = Annotated[_T, SHOWN]
"""A setting that a new workspace's params.yaml shows; the others are in the reference only."""


class Component(BaseModel):
    """Base of all component settings: immutable; unknown names, inf and nan are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def component_of(field: FieldInfo) -> type[Component] | None:
    """The component that a field holds, or may hold; None where it holds a plain value."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, Component):
            return kind
    return None


def is_optional(field: FieldInfo) -> bool:
    """Whether a field may be null."""
    return NoneType in get_args(field.annotation)


def setting_names(model: type[Component], section: str = "") -> Iterator[str]:
    """Dotted names of all settings and sections."""
    for key, field in model.model_fields.items():
        yield section + key
        if nested := component_of(field):
            yield from setting_names(nested, f"{section}{key}.")


def shaping_values(settings: BaseModel, section: str) -> Any:
    """Plain values of a dotted section that shape results, those of nested components included.

    The value itself where the section is a single setting (`serving.rerank_depth`).

    Raises:
        ValueError: nothing in the section shapes results.
    """
    return _plain(_shaping_part(settings, section))


def shaping_names(settings: BaseModel, section: str) -> tuple[str, ...]:
    """What of params.yaml shapes results in a section: itself, or its shaping settings one by one.

    These are the names that DVC watches. A section without operating settings is one name.

    Raises:
        ValueError: nothing in the section shapes results.
    """
    value = _shaping_part(settings, section)
    if not isinstance(value, BaseModel) or not _mixed(value):
        return (section,)
    return tuple(
        name
        for field, _ in _shaping_fields(value)
        for name in shaping_names(settings, f"{section}.{field}")
    )


def _shaping_part(settings: BaseModel, section: str) -> Any:
    value: Any = settings
    for part in section.split("."):
        fields = dict(_shaping_fields(value))
        if part not in fields:
            raise ValueError(f"{section} shapes no results")
        value = fields[part]
    return value


def _shaping_fields(model: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(model).model_fields.items():
        if OPERATES not in field.metadata:
            yield name, getattr(model, name)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(nested) for name, nested in _shaping_fields(value)}
    return to_jsonable_python(value)


def _mixed(model: BaseModel) -> bool:
    fields = dict(_shaping_fields(model)).values()
    return len(fields) < len(type(model).model_fields) or any(
        _mixed(value) for value in fields if isinstance(value, BaseModel)
    )
