"""Throughput and response time by clients, memory over time."""

from pathlib import Path
from typing import Any

from rabtriever_core.evaluation.plot_style import COLORS, label_axes, new_figure, save_png


def draw(parts: dict[str, Any], path: Path) -> None:
    """One picture of a load test."""
    rows = parts["levels"]
    figure = new_figure(10.0, 4.2, columns=2)
    left, right = figure.axes
    clients = [row["clients"] for row in rows]
    left.plot(clients, [row["per second"] for row in rows], marker="o", color=COLORS["student"])
    left.set_xscale("log", base=2)
    left.set_ylim(bottom=0)
    label_axes(left, x="clients", y="answers per second")
    for share, colour in ((50, "bi_encoder"), (95, "teacher"), (99, "student")):
        values = [row[f"p{share} ms"] for row in rows]
        right.plot(clients, values, marker="o", color=COLORS[colour], label=f"p{share}")
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    label_axes(right, x="clients", y="response time, ms")
    right.legend(frameon=False)
    save_png(figure, path)
