"""A comparison of two runs for the terminal and as a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.evaluation.results import RUN_DEPTH
from rabtriever_core.evaluation.schema import SYSTEM_LABELS
from rabtriever_core.report import wording
from rabtriever_core.report.page import page_environment
from rabtriever_core.workspace.atomic import write_text

if TYPE_CHECKING:
    from rich.console import RenderableType

_OUTCOMES = {"won": "Won by B", "lost": "Lost by B"}


def rank(value: int | None) -> str:
    """A rank, or that it lies beyond what was kept."""
    return f">{RUN_DEPTH}" if value is None else str(value)


def signed(value: float) -> str:
    """A difference in points, with its sign."""
    return f"{100 * value:+.1f}"


def label(system: str) -> str:
    """A system's name as shown."""
    return SYSTEM_LABELS.get(system, system)


def shown(comparison: Mapping[str, Any], queries: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """Headings with the first queries of every split, system and outcome that has any."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for split, systems in comparison["level"].items():
        for system in systems:
            for outcome in _OUTCOMES:
                groups[split, system, outcome] = []
    for row in comparison["queries"]:
        groups[row["split"], row["system"], row["outcome"]].append(row)
    return [
        (
            f"{_OUTCOMES[outcome]}: {len(rows)} {'query' if len(rows) == 1 else 'queries'} of "
            f"{split.replace('_', ' ')}, "
            f"{label(system)}",
            rows[:queries],
        )
        for (split, system, outcome), rows in groups.items()
        if rows
    ]


def terminal(comparison: Mapping[str, Any], queries: int) -> "list[RenderableType]":
    """Tables for `rich`: metrics, then the first queries won and lost.

    Texts are untrusted: none is read as markup, and control characters are not passed on.
    """
    from rich.table import Table
    from rich.text import Text

    metrics = Table(
        title=_plain(f"A: {comparison['a']}\nB: {comparison['b']}"),
        title_style="",
        title_justify="left",
    )
    for column in ("split", "system", "metric"):
        metrics.add_column(column)
    for column in ("queries", "A", "B", "B − A", "95% interval", "p", "corrected"):
        metrics.add_column(column, justify="right", no_wrap=True)
    for row in comparison["metrics"]:
        low, high = row["interval"]
        metrics.add_row(
            _plain(row["split"].replace("_", " ")),
            label(row["system"]),
            row["metric"],
            str(row["queries"]),
            wording.percent(row["a"]),
            wording.percent(row["b"]),
            signed(row["difference"]),
            f"{signed(low)} to {signed(high)}",
            p_value(row["p_value"]),
            p_value(row["p_value_holm"]),
            style="bold" if wording.is_clear(row) else "",
        )
    parts: list[RenderableType] = [metrics]
    for heading, rows in shown(comparison, queries):
        table = Table(title=_plain(heading), title_justify="left", show_lines=True, expand=True)
        table.add_column("query", ratio=3)
        table.add_column("right document", ratio=3)
        table.add_column("A", justify="right", no_wrap=True, min_width=3)
        table.add_column("B", justify="right", no_wrap=True, min_width=3)
        for row in rows:
            right = row["right"]
            table.add_row(
                Text(f"{_clean(row['text'])}\n", end="").append(_clean(row["query"]), "dim"),
                _plain("\n".join(_short(each["title"]) for each in right)),
                "\n".join(rank(each["rank_a"]) for each in right),
                "\n".join(rank(each["rank_b"]) for each in right),
            )
        parts.append(table)
    for split, systems in comparison["level"].items():
        levels = ", ".join(f"{label(name)} {count}" for name, count in systems.items())
        parts.append(_plain(f"level queries of {split.replace('_', ' ')}: {levels}"))
    return parts


def write_page(comparison: Mapping[str, Any], path: Path, queries: int) -> None:
    """Write the comparison as one self-contained page."""
    environment = page_environment(
        {"p_value": p_value, "signed": signed, "rank": rank, "label": label}
    )
    page = environment.get_template("compare.html.j2").render(
        comparison=comparison, groups=shown(comparison, queries)
    )
    write_text(path, page)


def p_value(value: float) -> str:
    """A p-value for a column of them."""
    return wording.p_value(value).removeprefix("p ").removeprefix("= ")


def _short(title: str, characters: int = 120) -> str:
    text = _clean(title)
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def _clean(text: str) -> str:
    """One line without control characters (a terminal obeys some of them)."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text("".join(c for c in text if c.isprintable() or c == "\n"))
