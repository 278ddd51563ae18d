"""Settings that are gone: files, flags, variables and records that hold them stay readable."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from rabtriever_core.config.component import Component, component_of

MOVED: Final = {"index.canaries": "index.probe_queries"}
"""Settings with a new name in the same section."""

_LAB = "further baselines are trained by `rabtriever lab baselines"
REASONS: Final = {
    "teacher.class_balance": "all training queries weigh alike",
    "teacher.focal_gamma": "all training pairs weigh alike",
    "teacher.curriculum_share": "teacher.mined_share holds from the first step on",
    "student.predicts": "the student regresses the teacher's state at the answer position",
    "student.positions_per_query": "the student regresses the state at the answer position alone",
    "student.normalized_mse_weight": "student.mse_weight weighs the only regression of states",
    "baselines": f"{_LAB}`",
    "baselines.systems": f"{_LAB} --system NAME`",
    "baselines.learning_rates": f"{_LAB} --learning-rate NAME=RATE`",
    "baselines.distillation_temperature": f"{_LAB} --temperature T`",
    "baselines.pool_question": "the pool classifier it belonged to is gone",
}
"""Why the others are gone, or what does their work now."""

Tell = Callable[[str, str], None]


def current_values(
    model: type[Component], values: Mapping[str, Any], section: str = "", tell: Tell | None = None
) -> dict[str, Any]:
    """Stored values by today's names: retired settings are dropped, or moved to their successors.

    Args:
        model: what the values are of.
        values: nested, as they were stored; unknown names stay as they are.
        section: the model's dotted name; "" for all settings.
        tell: is called with the name of each retired setting, and what became of it.
    """
    current: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{section}.{key}" if section else str(key)
        field = model.model_fields.get(key)
        nested = component_of(field) if field else None
        if nested and isinstance(value, Mapping):
            current[key] = current_values(nested, value, name, tell)
        elif field or (name not in MOVED and name not in REASONS):
            current[key] = value
        else:
            if name in MOVED:
                moved[MOVED[name].rpartition(".")[2]] = value
            if tell:
                _tell_of(name, value, tell)
    return moved | current


def _tell_of(name: str, value: Any, tell: Tell) -> None:
    if name in MOVED:
        tell(name, f"is {MOVED[name]} now")
        return
    each = [f"{name}.{key}" for key in value] if isinstance(value, Mapping) else []
    inside = [below for below in each if below in REASONS]
    for gone in inside or [name]:
        tell(gone, f"is no longer a setting: {REASONS[gone]}")
