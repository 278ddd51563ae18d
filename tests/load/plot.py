"""Response time by clients, with the answers per second at each level."""

from pathlib import Path
from typing import Any

from rabtriever_core.report.plot_style import COLORS, INK, label_axes, new_figure, save_png


def draw(parts: dict[str, Any], path: Path) -> None:
    """One picture of a load test."""
    rows = parts["levels"]
    figure = new_figure(8.0, 4.6)
    axes = figure.axes[0]
    clients = [row["clients"] for row in rows]
    for share, colour in ((99, "student"), (95, "teacher"), (50, "bi_encoder")):
        values = [row[f"p{share} ms"] for row in rows]
        axes.plot(clients, values, marker="o", color=COLORS[colour], label=f"p{share}")
    for row in rows:
        axes.annotate(
            f"{row['per second']:.0f}/s",
            (row["clients"], row["p99 ms"]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=INK,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(clients, [str(count) for count in clients])
    axes.set_ylim(top=2.5 * max(row["p99 ms"] for row in rows))
    label_axes(axes, x="clients in closed loops", y="response time, ms")
    axes.legend(frameon=False, loc="lower right")
    save_png(figure, path)
