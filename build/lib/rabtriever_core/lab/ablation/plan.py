"""A plan: which settings are varied, on which base, and what is measured; a small YAML file."""

import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from rabtriever_core.config.component import Component
from rabtriever_core.config.yaml_text import parsed_yaml
from rabtriever_core.errors import ConfigError
from rabtriever_core.evaluation.metrics import METRICS

System = Literal["bi_encoder", "teacher", "student"]
Override = str
"""`section.name=value`, as after `--set`."""


class Variant(Component):
    """One row of the table, or one point of the curve."""

    label: str = Field(min_length=1)
    """As shown."""
    set: tuple[Override, ...] = ()
    """Settings that make it."""
    base: bool = True
    """Whether the plan's base settings hold for it too; without them it starts from the settings
    that the command was given."""
    x: float | None = None
    """Its place on the plan's axis."""
    printed: dict[str, float] = Field(default_factory=dict)
    """Figures in print, by the plan's columns of them."""


class Axis(Component):
    """The quantity that a curve is drawn over."""

    name: str
    """As shown."""
    scale: Literal["linear", "log", "symlog"] = "linear"
    """`symlog` is logarithmic with room for zero."""


class Plan(Component):
    """Variants of a pipeline that differ in some settings; the first is what others are held to."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the folder of its results."""
    title: str
    """Heading of its table."""
    note: str = ""
    """What a reader should know, below the heading."""
    stage: Literal["backbone", "bi_encoder", "teacher", "student"] = "student"
    """The first stage that the variants change; what comes before is the same for all."""
    base: tuple[Override, ...] = ()
    """Settings of all variants."""
    variants: dict[str, Variant] = Field(min_length=1)
    """By a short name, which names files."""
    split: str = "dev"
    """The qrels file that is measured; choices belong on dev."""
    systems: tuple[System, ...] = Field(("student",), min_length=1)
    """What is measured, the first one shown in plots."""
    queries: int | None = Field(None, ge=1)
    """Measured queries, a fixed sample; all when unset."""
    documents: int | None = Field(None, ge=2)
    """Documents they are ranked over: those judged for them and a fixed sample of the rest; all
    when unset. The teacher reads every pair, so plans that measure it set both."""
    metric: str = "MRR@10"
    """Drawn."""
    x: Axis | None = None
    """Set for a curve."""
    printed: str = ""
    """Where figures in print are from, and in what setting."""

    @field_validator("variants")
    @classmethod
    def _names_are_file_names(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        for name in variants:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
                raise ValueError(f"{name!r} must be of lower-case letters, digits, - and _")
        return variants

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"there is none of that name; there are {', '.join(METRICS)}")
        return metric

    @model_validator(mode="after")
    def _fits_together(self) -> "Plan":
        placed = [name for name, variant in self.variants.items() if variant.x is not None]
        if self.x is None and placed:
            raise ValueError(f"{', '.join(placed)}: has x, but the plan has no axis `x`")
        if self.x is not None and len(placed) < len(self.variants):
            lacking = ", ".join(name for name in self.variants if name not in placed)
            raise ValueError(f"{lacking}: without x, but the plan has the axis {self.x.name!r}")
        if "teacher" in self.systems and (self.queries is None or self.documents is None):
            raise ValueError(
                "the teacher reads every pair of query and document: set queries and documents"
            )
        return self

    def overrides(self, variant: str) -> tuple[Override, ...]:
        """What makes a variant, in the order in which it is applied."""
        chosen = self.variants[variant]
        return (*(self.base if chosen.base else ()), *chosen.set)


def plan_names() -> list[str]:
    """The plans that come with the package."""
    return sorted(p.name.removesuffix(".yaml") for p in _shipped().iterdir() if _is_plan(p))


def read_plan(name: str) -> Plan:
    """Read a plan that comes with the package, or a file.

    Raises:
        ConfigError: there is no such plan, or a key of it is missing, misspelt or wrong.
    """
    shipped = name in plan_names()
    path = Path(name)
    if not shipped and not path.is_file():
        raise ConfigError(
            f"no plan {name!r}: name one of {', '.join(plan_names())}, or an existing YAML file"
        )
    text = (_shipped() / f"{name}.yaml" if shipped else path).read_text(encoding="utf-8")
    content = parsed_yaml(text, str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must be a mapping of keys, got {type(content).__name__}")
    return parse_plan({"name": path.stem, **content}, name)


def parse_plan(content: dict[str, Any], where: str) -> Plan:
    """Check a plan's content.

    Raises:
        ConfigError: names the bad key and `where` it was.
    """
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'plan'} = {e.get('input')!r:.80}: {e['msg']}"
            for e in error.errors()
        )
        raise ConfigError(f"plan {where}: {problems}") from None


def _shipped() -> Any:
    return resources.files("rabtriever_core.lab.ablation") / "plans"


def _is_plan(path: Any) -> bool:
    return bool(path.name.endswith(".yaml"))
