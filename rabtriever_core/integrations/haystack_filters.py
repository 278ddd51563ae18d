"""Haystack's filters as conditions on documents' metadata.

    {"operator": "AND", "conditions": [
        {"field": "meta.lang", "operator": "==", "value": "de"},
        {"field": "meta.year", "operator": ">=", "value": 2020},
    ]}

`id` is the document's id. Numbers have an order; dates as strings have none here.
"""

from collections.abc import Mapping
from typing import Any

from rabtriever_core.errors import FilterError
from rabtriever_core.index.filters import check_filter

_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_LOGIC = ("AND", "OR", "NOT")
_DEEPEST = 8


def search_filter(filters: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Haystack's filters as conditions of this project's own kind, which are left as they are.

    Raises:
        FilterError: an operator is unknown, or a part is missing.
    """
    if not filters or "operator" not in filters:
        return filters
    return _filter(filters, 0)


def _filter(part: Any, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise FilterError(f"the filter is nested deeper than {_DEEPEST} levels")
    if not isinstance(part, Mapping):
        raise FilterError(f"{part!r:.80} is no part of a filter: an object is expected")
    if "field" in part:
        return _comparison(part)
    operator, conditions = part.get("operator"), part.get("conditions")
    if operator not in _LOGIC or not isinstance(conditions, list) or not conditions:
        raise FilterError(
            f"{part!r:.80} is no part of a filter: it needs `field`, `operator` and `value`, or an "
            f"`operator` ({', '.join(_LOGIC)}) and a list of `conditions`"
        )
    inner: list[Any] = [_filter(condition, depth + 1) for condition in conditions]
    if operator == "AND":
        return {"$and": inner}
    if operator == "OR":
        return {"$or": inner}
    return {"$not": {"$and": inner}}


def _comparison(part: Mapping[str, Any]) -> dict[str, Any]:
    absent = [name for name in ("operator", "value") if name not in part]
    if absent:
        raise FilterError(f"filter field {part['field']!r:.80}: there is no {absent[0]!r}")
    field = str(part["field"]).removeprefix("meta.")
    operator, value = part["operator"], part["value"]
    if isinstance(value, list) != (operator in ("in", "not in")):
        raise FilterError(
            f"filter field {field!r}: {operator!r} and {value!r:.80} do not go together: a list is "
            "for 'in' and 'not in'"
        )
    if operator in ("==", "in"):
        condition: Any = value
    elif operator in ("!=", "not in"):
        condition = {"not": value}
    elif operator in _BOUNDS:
        condition = {_BOUNDS[operator]: value}
    else:
        raise FilterError(
            f"filter field {field!r}: unknown operator {operator!r:.80}; there are ==, !=, >, >=, "
            "<, <=, in, not in"
        )
    made = {"document_id" if field == "id" else field: condition}
    check_filter(made)
    return made
