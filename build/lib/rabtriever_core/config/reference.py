"""The reference of all settings as a Markdown page, written from their models."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from rabtriever_core.config.component import OPERATES, SHOWN, Component, component_of
from rabtriever_core.config.params_file import default_settings
from rabtriever_core.config.retired import MOVED, REASONS
from rabtriever_core.config.schedule import ScheduleConfig

Stages = Mapping[str, Sequence[str]]
"""Stage → dotted names of the sections and settings that shape its result."""

_INTRODUCTION = """\
# Settings

<!-- Written by `make generated` from rabtriever_core/config; edit the models there. -->

Every setting has a default. A workspace's `params.yaml` shows the ones that people change (in
**bold** below); any other can be added to it. A flag wins over an environment variable, and that
wins over the file:

```console
$ rabtriever run teacher --set teacher.schedule.epochs=3
$ RABTRIEVER_TEACHER__SCHEDULE__EPOCHS=3 rabtriever run teacher
```

The column *Rebuilds* names the stages whose result a setting shapes. With another value they are
built again the next time they run, and so is what follows from their results. A setting that
*operates* rebuilds nothing: a new value is used from the next command on, and by a running service
or Dagster deployment once it is restarted. `rabtriever status` says what is out of date, and why.

Names are relative to the section: `schedule` under `teacher` is `teacher.schedule`.
"""

_SCHEDULE = """\
## Schedules

How long and how fast a model trains. The number of steps follows from the size of the data:
`steps = clamp(epochs × training queries / queries_per_step, min_steps, max_steps)`. Every schedule
has these settings; the defaults that differ are in the row of the schedule.
"""

_KINDS = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}


def settings_reference(stages: Stages) -> str:
    """The whole page.

    Args:
        stages: what shapes them; a setting in none must be one that operates.
    """
    settings = default_settings()
    blocks = [_INTRODUCTION]
    for name, field in type(settings).model_fields.items():
        section = getattr(settings, name)
        rows = _rows(section, name, "", OPERATES in field.metadata, stages)
        blocks.append(_table(f"`{name}`", _prose(type(section)), rows))
    rows = _schedule_rows()
    blocks.append(_SCHEDULE + "\n" + _lines(("Setting", "Type", "Default", "Meaning"), rows))
    blocks.append(_retired())
    return "\n".join(blocks)


def _rows(
    model: Component, section: str, prefix: str, operates: bool, stages: Stages
) -> Iterator[tuple[str, ...]]:
    for name, field in type(model).model_fields.items():
        value, dotted = getattr(model, name), f"{section}.{prefix}{name}"
        idle = operates or OPERATES in field.metadata
        nested = component_of(field)
        label = f"**`{prefix}{name}`**" if SHOWN in field.metadata else f"`{prefix}{name}`"
        kind, default = _kind(field.annotation, field.metadata), _code(model, name)
        if isinstance(value, ScheduleConfig):
            usual = ScheduleConfig()
            own = [k for k in ScheduleConfig.model_fields if getattr(value, k) != getattr(usual, k)]
            kind = "[schedule](#schedules)"
            default = ", ".join(f"{key} {_code(value, key)}" for key in own)
        elif nested:
            kind, default = "section" + (" or null" if "null" in kind else ""), ""
        yield label, kind, default, field.description or "", _rebuilt(dotted, idle, stages)
        if nested and nested is not ScheduleConfig:
            yield from _rows(value, section, f"{prefix}{name}.", idle, stages)


def _schedule_rows() -> Iterator[tuple[str, ...]]:
    usual = ScheduleConfig()
    for name, field in ScheduleConfig.model_fields.items():
        label = f"**`{name}`**" if SHOWN in field.metadata else f"`{name}`"
        kind = _kind(field.annotation, field.metadata)
        yield label, kind, _code(usual, name), field.description or ""


def _rebuilt(name: str, operates: bool, stages: Stages) -> str:
    if operates:
        return "nothing: operates"
    whose = [
        stage
        for stage, shaping in stages.items()
        if any(f"{name}.".startswith(f"{each}.") for each in shaping)
    ]
    within = any(each.startswith(f"{name}.") for shaping in stages.values() for each in shaping)
    if not whose and not within:
        raise ValueError(f"{name} shapes no stage, and is not marked as operating")
    others = [stage for stage in stages if stage not in whose]
    if len(others) > 1:
        return ", ".join(whose)
    return " but ".join(["every stage", *others])


def _kind(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in words, with its bounds."""
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if get_origin(annotation) in (Union, UnionType):
        kinds = [_kind(each, metadata) for each in arguments if each is not NoneType]
        return " or ".join(kinds + ["null"] * (NoneType in arguments))
    if get_origin(annotation) is tuple:
        return f"list of {_kind(arguments[0])}"
    if get_origin(annotation) is dict:
        return f"mapping of {_kind(arguments[0])} to {_kind(arguments[1])}"
    return f"{_KINDS.get(annotation, 'section')} {', '.join(_bounds(metadata))}".strip()


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
    for bound in metadata:
        match bound:
            case Ge(ge=limit):
                yield f"≥ {limit}"
            case Gt(gt=limit):
                yield f"> {limit}"
            case Le(le=limit):
                yield f"≤ {limit}"
            case Lt(lt=limit):
                yield f"< {limit}"
            case MultipleOf(multiple_of=factor):
                yield f"multiple of {factor}"
            case _:
                pass


def _code(model: Component, name: str) -> str:
    import json

    value = getattr(model, name)
    if value is None or isinstance(value, bool | int | float | tuple):
        return f"`{json.dumps(value)}`"
    return f"`{value}`"


def _prose(model: type[Component]) -> str:
    return " ".join((model.__doc__ or "").split())


def _table(title: str, prose: str, rows: Iterator[tuple[str, ...]]) -> str:
    columns = ("Setting", "Type", "Default", "Meaning", "Rebuilds")
    return f"## {title}\n\n{prose}\n\n{_lines(columns, rows)}"


def _lines(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    table = [columns, ("---",) * len(columns), *rows]
    cells = (
        " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in table
    )
    return "".join(f"| {row} |\n" for row in cells)


def _retired() -> str:
    gone = [(f"`{old}`", f"is `{new}` now") for old, new in MOVED.items()]
    gone += [(f"`{name}`", reason) for name, reason in REASONS.items()]
    return (
        "## Retired settings\n\nFiles that still hold them are read, with a warning.\n\n"
        + _lines(("Setting", "Instead"), iter(gone))
    )
