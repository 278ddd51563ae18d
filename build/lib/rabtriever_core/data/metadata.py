"""Metadata of documents: what applications filter by and show, and no model reads."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

Metadata = Mapping[str, Any]
"""Field → string, number, boolean, null, or a list of these."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = range(-(2**63), 2**63)


def stated_metadata(row: Mapping[str, Any]) -> Any:
    """What a row of corpus.jsonl says, usable or not; `{}` where it says nothing."""
    value = row.get("metadata")
    return {} if value is None else value


def metadata_problem(value: object) -> str:
    """Why a value is no document's metadata, in words; empty where it is.

    Storage must give back what it was given, so what JSON or UTF-8 cannot say is a problem too, and
    so are whole numbers of more than 64 bits.
    """
    if not isinstance(value, dict):
        return f"it is {_kind(value)}, not an object of fields"
    for field, held in value.items():
        if LONE_SURROGATE.search(field):
            return f"the name of field {field!r} holds half a surrogate pair"
        for one in held if isinstance(held, list) else [held]:
            problem = _value_problem(one)
            if problem:
                where = "a list with " if isinstance(held, list) else ""
                return f"field {field!r} holds {where}{problem}"
    return ""


def canonical(metadata: Metadata) -> str:
    """As text, the same in any order of fields."""
    return json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)


def _value_problem(value: object) -> str:
    if isinstance(value, dict | list):
        return f"{_kind(value)}; values are strings, numbers, booleans, null, or lists of these"
    if isinstance(value, str) and LONE_SURROGATE.search(value):
        return "half a surrogate pair"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, which is no JSON number"
    if isinstance(value, int) and value not in _WHOLE:
        return "a whole number of more than 64 bits; write it as a string"
    return ""


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"{value!r:.40}"
