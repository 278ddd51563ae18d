"""`--filter`: conditions on metadata as a shell says them."""

import json
from collections.abc import Sequence
from typing import Any

from rabtriever_core.errors import FilterError


def read_filter(given: Sequence[str]) -> dict[str, Any] | None:
    """One filter of all that was given: KEY=VALUE, or whole JSON objects; None without any.

    A value is JSON where it parses, and a string where it does not: `year=2020` is a number,
    `lang=de` a string, `lang=["de", "en"]` either of two, `year={"gte": 2020}` a bound.

    Raises:
        FilterError: one is neither, or asks for a field a second time.
    """
    conditions: dict[str, Any] = {}
    for text in given:
        for field, wanted in _conditions(text).items():
            if field in conditions:
                raise FilterError(
                    f"--filter {text!r}: there is a condition on {field!r} already; several values "
                    f'are a list, {field}=["a", "b"], several bounds one object'
                )
            conditions[field] = wanted
    return conditions or None


def _conditions(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FilterError(f"--filter {text!r} is no JSON object: {error}") from None
        return dict(whole)
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise FilterError(
            f"--filter {text!r}: expected KEY=VALUE, as in lang=de, or a JSON object, as in "
            '{"year": {"gte": 2020}}'
        )
    try:
        return {field.strip(): json.loads(value)}
    except (ValueError, RecursionError):
        return {field.strip(): value}
