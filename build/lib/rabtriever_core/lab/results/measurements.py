"""Single measurements as tables: whatever JSON has a title and rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabtriever_core.errors import ArtifactError
from rabtriever_core.lab.ablation.tables import table
from rabtriever_core.report.plot_style import save_png
from rabtriever_core.workspace.provenance import in_words


def measurement_markdown(path: Path, plots: Path) -> str:
    """A section for one measurement.

    Tables of stored vectors (`rabtriever lab measure-vectors`) have a form of their own; any other
    file needs `title` and `rows`, a list of objects with the same keys, and may have `note`,
    `command` and `machine`.

    Args:
        path: the JSON file.
        plots: a folder beside the page, for its plot, if it has one.

    Raises:
        ArtifactError: the file is not of that shape.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "raw_bytes" in content:
            return _vectors(content, path.stem, plots)
        rows, title = content["rows"], content["title"]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        body = table(columns, [[_shown(row.get(key)) for key in columns] for row in rows])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is no measurement ({type(error).__name__}: {error}): expected an object with "
            "`title` and `rows`, a list of objects"
        ) from None
    parts = [f"### {title}", *([content["note"]] if content.get("note") else []), body]
    return "\n\n".join([*parts, source(content)])


def source(content: Mapping[str, Any]) -> str:
    """Command and machine of a measurement, in one line."""
    parts = [f"`{content['command']}`" if content.get("command") else "command not recorded"]
    machine = content.get("machine")
    if isinstance(machine, dict) and {"cpu", "cores", "memory_gib"} <= set(machine):
        parts.append(in_words(machine))
    elif isinstance(machine, dict):
        parts.append(", ".join(f"{key} {value}" for key, value in machine.items()))
    else:
        parts.append(str(machine or "machine not recorded"))
    return f"Made by {'; '.join(parts)}."


def _vectors(content: dict[str, Any], name: str, plots: Path) -> str:
    from rabtriever_core.lab.measurements.vectors_report import markdown, recall_against_bytes

    plot = plots / f"{name}.png"
    save_png(recall_against_bytes(content), plot)
    vectors = f"{content.get('dataset', name)}, {content['dimension']} dimensions"
    return "\n\n".join(
        [
            f"### Stored vectors, {vectors}",
            markdown(content),
            f"![recall@10 against bytes per document]({plots.name}/{plot.name})",
            source(content),
        ]
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else ("yes" if value else "no")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(str(value).split())
