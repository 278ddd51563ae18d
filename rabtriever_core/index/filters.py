"""Search filters: conditions on documents' metadata, as JSON says them, turned into Qdrant's.

A filter is an object of conditions that must all hold. What it finds, by example:

| condition | documents |
|---|---|
| `{"lang": "de"}` | whose field is `"de"`, or a list with `"de"` in it |
| `{"lang": ["de", "en"]}` | for which any of these holds |
| `{"lang": {"not": "de"}}`, `{"lang": {"not": ["de", "en"]}}` | all others, without the field too |
| `{"year": {"gte": 2020, "lt": 2025}}` | with a number within bounds (`gt`, `gte`, `lt`, `lte`) |
| `{"lang": null}` | without the field, or where it is null or an empty list |
| `{"document_id": ["d1", "d2"]}` | with these ids; `not` works here, too |
| `{"$or": [{"lang": "de"}, {"year": 2020}]}` | that pass any of these filters (`$and`: all) |
| `{"$not": {"lang": "de", "year": 2020}}` | that do not pass this filter |

Values are strings (compared exactly), numbers (2020 and 2020.0 are one), booleans and null. Dots
are part of a field's name: metadata are flat. A field called `document_id` cannot be asked for.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

from rabtriever_core.data.metadata import LONE_SURROGATE
from rabtriever_core.errors import FilterError

if TYPE_CHECKING:
    from qdrant_client.models import Condition, Filter

SearchFilter = Union[Mapping[str, Any], "Filter"]
"""Conditions as above, or a filter in Qdrant's own terms on keys `metadata.<field>`."""

MAX_CONDITIONS = 32
MAX_VALUES = 1000
MAX_CHARACTERS = 1000
"""Of a name or a value."""

_DOCUMENT_ID = "document_id"
_NOT = "not"
# No field's name has a `$`.
_AND, _OR, _NONE = "$and", "$or", "$not"
_DEEPEST = 16
_BOUNDS = ("gt", "gte", "lt", "lte")
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
# As Qdrant's paths take them without quotes, which would also end a name at a dot.
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# Beyond, two whole numbers can be one 64-bit float, as which Qdrant compares them.
_LARGEST = 2**53 - 1


def check_filter(conditions: SearchFilter | None) -> None:
    """Refuse what is no filter, or too large a one.

    Raises:
        FilterError: names field and value.
    """
    if conditions is None or _is_qdrants(conditions):
        return
    values = 0
    for field, wanted in _at_any_depth(conditions, 0):
        _check_field(field)
        values += sum(map(len, _asked(field, wanted)))
    if values > MAX_VALUES:
        raise FilterError(f"the filter has {values} values, at most {MAX_VALUES} are allowed")


def qdrant_filter(conditions: SearchFilter | None) -> "Filter | None":
    """A filter as Qdrant takes it; one in its own terms is left as it is, none where all may do.

    Raises:
        FilterError: it is none, or too large; names field and value.
    """
    check_filter(conditions)
    if isinstance(conditions, Mapping):
        return _built(conditions) if conditions else None
    return conditions


def _is_qdrants(conditions: object) -> bool:
    """Whether a filter is in Qdrant's own terms; its client is needed only where one may be."""
    if isinstance(conditions, Mapping) or not type(conditions).__module__.startswith("qdrant"):
        return False
    from qdrant_client import models

    return isinstance(conditions, models.Filter)


def _at_any_depth(conditions: Any, depth: int) -> Iterator[tuple[Any, Any]]:
    """Every field and what is wanted of it."""
    if not isinstance(conditions, Mapping):
        raise FilterError(f'a filter is an object like {{"lang": "de"}}, not {conditions!r:.80}')
    if len(conditions) > MAX_CONDITIONS:
        raise FilterError(
            f"the filter has {len(conditions)} conditions, at most {MAX_CONDITIONS} are allowed"
        )
    if depth > _DEEPEST:
        raise FilterError(f"the filter is nested deeper than {_DEEPEST} levels")
    for field, wanted in conditions.items():
        if field not in (_AND, _OR, _NONE):
            yield field, wanted
            continue
        parts = [wanted] if field == _NONE else wanted
        if not isinstance(parts, Sequence) or isinstance(parts, str) or not all(parts) or not parts:
            raise FilterError(
                f"filter {field!r} takes {'a filter' if field == _NONE else 'a list of filters'}, "
                f"none of them empty, not {wanted!r:.80}"
            )
        for part in parts:
            yield from _at_any_depth(part, depth + 1)


def _built(conditions: Mapping[str, Any]) -> "Filter":
    from qdrant_client import models

    must: list[Condition] = []
    must_not: list[Condition] = []
    for field, wanted in conditions.items():
        if field == _AND:
            must += map(_built, wanted)
        elif field == _OR:
            must.append(models.Filter(should=[*map(_built, wanted)]))
        elif field == _NONE:
            must_not.append(_built(wanted))
        else:
            any_of, none_of, bounds = _asked(field, wanted)
            if any_of:
                must.append(_holds_any(field, any_of))
            if none_of:
                must_not.append(_holds_any(field, none_of))
            if bounds:
                must.append(models.FieldCondition(key=_key(field), range=models.Range(**bounds)))
    return models.Filter(must=must or None, must_not=must_not or None)


def _asked(field: str, wanted: object) -> tuple[list[Any], list[Any], dict[str, float]]:
    """Values of which one must be there, values of which none may be, bounds."""
    if not isinstance(wanted, Mapping):
        return _values(field, wanted), [], {}
    unknown = [name for name in wanted if name not in (_NOT, *_BOUNDS)]
    if unknown or not wanted:
        raise FilterError(
            f"filter field {field!r}: {wanted!r:.80} is no condition; it takes a value, a list of "
            f"values, or an object of {', '.join((_NOT, *_BOUNDS))}"
        )
    none_of = _values(field, wanted[_NOT]) if _NOT in wanted else []
    bounds = {name: wanted[name] for name in _BOUNDS if name in wanted}
    if bounds and field == _DOCUMENT_ID:
        raise FilterError(f"filter field {field!r}: {wanted!r:.80}: ids have no order")
    for name, bound in bounds.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise FilterError(f"filter field {field!r}: {name} takes a number, not {bound!r:.80}")
        _check_number(field, bound)
    return [], none_of, bounds


def _values(field: str, wanted: object) -> list[Any]:
    """One or several values as a list.

    Raises:
        FilterError: there is none, or one of a wrong kind.
    """
    several = isinstance(wanted, Sequence) and not isinstance(wanted, str | bytes)
    values = list(wanted) if several else [wanted]  # type: ignore[call-overload]
    if not values:
        raise FilterError(
            f"filter field {field!r}: the list of values is empty; leave the condition out where "
            "every document may do"
        )
    for value in values:
        if field == _DOCUMENT_ID and not isinstance(value, str):
            raise FilterError(f"filter field {field!r}: {value!r:.80} is no id; ids are strings")
        if value is not None and not isinstance(value, str | bool | int | float):
            raise FilterError(
                f"filter field {field!r}: {value!r:.80} is no string, number, boolean or null"
            )
        if isinstance(value, str):
            _check_text(field, value)
        elif value is not None:
            _check_number(field, value)
    return values


def _holds_any(field: str, values: list[Any]) -> "Condition":
    """That a field has one of some values, or a list with one of them."""
    from qdrant_client import models

    from rabtriever_core.index.vectors import point_id

    if field == _DOCUMENT_ID:
        return models.HasIdCondition(has_id=[point_id(value) for value in values])
    key = _key(field)
    texts = [value for value in values if isinstance(value, str)]
    found: list[Condition] = []
    if texts:
        found.append(models.FieldCondition(key=key, match=models.MatchAny(any=texts)))
    for value in values:
        if value is None:
            empty = models.PayloadField(key=key)
            found.append(models.IsEmptyCondition(is_empty=empty))
        elif isinstance(value, bool):
            found.append(models.FieldCondition(key=key, match=models.MatchValue(value=value)))
        elif not isinstance(value, str):
            # Not by match, which would take 2020 and 2020.0 for two.
            exactly = models.Range(gte=value, lte=value)
            found.append(models.FieldCondition(key=key, range=exactly))
    return found[0] if len(found) == 1 else models.Filter(should=found)


def _key(field: str) -> str:
    return f"metadata.{field}" if _BARE.fullmatch(field) else f'metadata."{field}"'


def _check_field(field: object) -> None:
    if not isinstance(field, str) or not _NAME.fullmatch(field):
        raise FilterError(
            f"filter field {field!r:.80}: names are letters, digits, '_' and '-', with single dots "
            "between"
        )
    _check_text(field, field)


def _check_text(field: str, text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise FilterError(
            f"filter field {field!r:.80}: {text!r:.80}… has {len(text)} characters, at most "
            f"{MAX_CHARACTERS} are allowed"
        )
    if LONE_SURROGATE.search(text):
        raise FilterError(f"filter field {field!r}: {text!r:.80} holds half a surrogate pair")


def _check_number(field: str, number: float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise FilterError(f"filter field {field!r}: {number} is no JSON number")
    if isinstance(number, int) and abs(number) > _LARGEST:
        raise FilterError(
            f"filter field {field!r}: {number!r:.80} cannot be compared exactly: whole numbers go "
            f"to {_LARGEST}, longer ones are better stored as strings"
        )
