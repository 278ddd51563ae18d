"""Forms of query towers as a table of text, and as a curve of quality against time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.report.plot_style import EXTRA_COLORS, label_axes, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def summary(path: Path) -> str:
    """The measurement as a table of text."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    columns = list(measured["rows"][0])
    cells = [[_shown(row.get(column)) for column in columns] for row in measured["rows"]]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in [columns, *cells]
    ]
    return "\n".join([measured["title"], measured["machine"], measured["note"], *lines])


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)


def share_against_time(measured: Mapping[str, Any]) -> "Figure":
    """Share of MRR@10 kept against the median time of a query; up and to the left is better."""
    figure = new_figure()
    axes = figure.axes[0]
    shown = [row for row in measured["rows"] if row["share_kept"] is not None]
    for number, name in enumerate(dict.fromkeys(row["workspace"] for row in shown)):
        rows = [row for row in shown if row["workspace"] == name]
        points = [[row[key] for row in rows] for key in ("p50_ms", "share_kept")]
        color = EXTRA_COLORS[number % len(EXTRA_COLORS)]
        axes.plot(*points, marker="o", color=color, label=name, alpha=0.8)
        for row in rows:
            place = (row["p50_ms"], row["share_kept"])
            axes.annotate(row["tower"], place, (4, 4), textcoords="offset points", fontsize=9)
    axes.set_xlim(left=0)
    label_axes(axes, x="milliseconds per query (median)", y="share of MRR@10 kept")
    legend_above(figure, axes)
    return figure
