"""The reference of the query service, from its OpenAPI document.

python -m docs.generators.http_api docs/reference/http-api.md
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generators.markdown import cell, paragraphs, table
from rabtriever_core.config import Settings
from rabtriever_core.serving.app import create_app
from rabtriever_core.workspace import Workspace

_START = """\
# HTTP API

<!-- Written by docs/generators/http_api.py: `make generated`. -->

`rabtriever serve` answers these requests. A running service has the same reference, to try out, at
`/docs`, and the OpenAPI document itself at `/openapi.json`. [Querying](../how-to/querying.md) shows
requests with `curl`.

Bodies are JSON. An unknown field is refused, except in requests in the shape of
[other services](../how-to/querying.md#clients-of-other-services), where it is ignored. As soon as
the workspace has an [API key](../how-to/security.md#api-keys), all requests but `/healthz` and
`/readyz` need one: `Authorization: Bearer KEY` or `X-API-Key: KEY`. Every answer has an
`X-Request-ID` header (yours, if you sent one), which the service also logs.
"""

_SCHEMAS = "#/components/schemas/"


def page() -> str:
    """The page, in Markdown."""
    document = create_app(Workspace(Path(), Settings())).openapi()
    schemas: dict[str, Any] = document["components"]["schemas"]
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [_START, "## Requests\n"]
    for title, operation in operations:
        parts.extend(_operation(title, operation))
    parts.append("## Errors\n")
    parts.append("An error has a JSON body with `detail` and `request_id`.\n")
    parts.append(table(("status", "meaning"), _errors(operations)))
    parts.append("## Objects\n")
    for name in sorted(schemas):
        parts.extend(_object(name, schemas[name]))
    return "\n".join(parts).rstrip() + "\n"


def _operation(title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{title}`\n"
    yield f"{paragraphs(operation.get('description', ''))}\n"
    body = operation.get("requestBody")
    answer = _json(operation["responses"]["200"])
    statuses = sorted(status for status in operation["responses"] if status != "200")
    facts = (
        f"- Body: {_type(_json(body))}" if body else "",
        f"- Answer: {_type(answer)}" if answer else "",
        f"- Errors: {', '.join(statuses)}" if statuses else "",
    )
    yield "\n".join(fact for fact in facts if fact) + "\n"


def _json(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema


def _errors(operations: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """What every status means, in the words of the first request that has them."""
    found: dict[str, list[str]] = {}
    for _, operation in operations:
        for status, response in operation["responses"].items():
            words = found.setdefault(status, [])
            if response["description"] not in words:
                words.append(response["description"])
    return [(status, cell(" ".join(found[status]))) for status in sorted(found) if status != "200"]


def _object(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{paragraphs(schema.get('description', ''))}\n"
    required = schema.get("required", [])
    rows = []
    for field, said in schema.get("properties", {}).items():
        meaning = cell(said.get("description", ""))
        default = "" if field in required else _default(said)
        rows.append((f"`{field}`", _type(said), default, meaning))
    if rows:
        yield table(("field", "type", "default", "meaning"), rows)
    shown = {
        field: said["examples"][0]
        for field, said in schema.get("properties", {}).items()
        if "examples" in said
    }
    if shown and set(required) <= set(shown):
        yield f"```json\n{json.dumps(shown, ensure_ascii=False)}\n```\n"


def _default(said: dict[str, Any]) -> str:
    value = said.get("default")
    return "none" if value is None else f"`{json.dumps(value)}`"


def _type(said: dict[str, Any]) -> str:
    """A schema in a few words, with links to the objects in it."""
    if "$ref" in said:
        name = said["$ref"].removeprefix(_SCHEMAS)
        return f"[{name}](#{name.lower()})"
    for either in ("anyOf", "oneOf"):
        if either in said:
            return " or ".join(_type(each) for each in said[either])
    if "const" in said:
        return f"`{json.dumps(said['const'])}`"
    if "enum" in said:
        return " or ".join(f"`{json.dumps(value)}`" for value in said["enum"])
    if said.get("type") == "array":
        return f"list{_limits(said, 'minItems', 'maxItems')} of {_type(said['items'])}"
    if said.get("type") == "string":
        return f"string{_limits(said, 'minLength', 'maxLength', ' characters')}"
    return f"{said.get('type', 'any')}{_limits(said, 'minimum', 'maximum')}"


def _limits(said: dict[str, Any], low: str, high: str, unit: str = "") -> str:
    least, most = said.get(low), said.get(high)
    if least is None and most is None:
        return ""
    if most is None:
        return f" (at least {least:g}{unit})"
    return f" (up to {most}{unit})" if least is None else f" ({least:g} to {most:g}{unit})"


def main(arguments: Any = None) -> None:
    """The command line above."""
    (target,) = arguments or sys.argv[1:]
    Path(target).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
