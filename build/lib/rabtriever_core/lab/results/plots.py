"""Stored results drawn."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rabtriever_core.evaluation.schema import SYSTEM_LABELS, in_order
from rabtriever_core.report.plot_style import (
    COLORS,
    GRID,
    INK,
    MARKERS,
    label_axes,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def systems_figure(split: Mapping[str, Any], title: str, metric: str = "MRR@10") -> "Figure":
    """Systems' means: a thin line is the interval over queries, a thick one ± sd over seeds."""
    systems = in_order(split["systems"])
    figure = new_figure(width=7, height=1.3 + 0.42 * len(systems))
    axes = figure.axes[0]
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    for row, system in enumerate(systems):
        found, color = split["systems"][system][metric], COLORS[system]
        mean, sd = 100 * found["mean"], 100 * found.get("sd", 0.0)
        if "interval" in found:
            axes.hlines(row, *(100 * v for v in found["interval"]), color=color, linewidth=1.2)
        axes.hlines(row, mean - sd, mean + sd, color=color, linewidth=4, alpha=0.55)
        axes.plot([mean], [row], marker=MARKERS[system], color=color, markersize=7)
        axes.annotate(
            f"{mean:.1f}",
            (mean, row),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(range(len(systems)), [SYSTEM_LABELS[system] for system in systems])
    axes.set_ylim(len(systems) - 0.5, -0.7)
    label_axes(axes, x=f"{metric} (%)", title=title)
    return figure
