"""The plot of two-stage answers: quality for time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rabtriever_core.evaluation.schema import point_of
from rabtriever_core.report.plot_style import (
    COLORS,
    INK,
    MARKERS,
    label_axes,
    legend_above,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AUTO = "#332288"
_ROLES = (
    ("never", "student alone", COLORS["student"], MARKERS["student"]),
    ("auto", "auto, below {:.6g}", AUTO, "P"),
    ("always", "always reranked", COLORS["teacher"], MARKERS["teacher"]),
)
_LABEL_GAP = 0.07
"""Least distance of two labelled points, as a share of the axis' width."""


def quality_for_time(two_stage: Mapping[str, Any], split: str, metric: str = "MRR@10") -> "Figure":
    """A metric against expected milliseconds per query; labels are shares of queries reranked.

    Bars at `auto` and `always` are 95% intervals of the gain over the student alone.
    """
    points = two_stage["splits"][split]["points"]
    figure = new_figure()
    axes = figure.axes[0]
    x = [point["ms"] for point in points]
    y = [100 * point["metrics"][metric] for point in points]
    axes.plot(x, y, color="#8C8C8C", marker="o", markersize=4, linewidth=1.5)
    alone = 100 * point_of(points, "never")["metrics"][metric]
    axes.axhline(alone, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    for role, label, color, marker in _ROLES:
        point = point_of(points, role)
        at, height = point["ms"], 100 * point["metrics"][metric]
        axes.plot(
            at,
            height,
            color=color,
            marker=marker,
            markersize=10,
            linestyle="none",
            label=label.format(two_stage["rerank_below"]),
        )
        if metric == "MRR@10" and "gain_interval" in point:
            low, high = (alone + 100 * value for value in point["gain_interval"])
            axes.vlines(at, low, high, color=color, linewidth=1.3)
    labelled: list[float] = []
    # The named points first: others keep their distance from them.
    for point in sorted(points, key=lambda point: "role" not in point):
        at = float(point["ms"])
        if all(abs(at - other) >= _LABEL_GAP * (max(x) - min(x)) for other in labelled):
            labelled.append(at)
            axes.annotate(
                f"{point['share']:.0%}",
                (at, 100 * point["metrics"][metric]),
                xytext=(0, 10),
                textcoords="offset points",
                ha="center",
                fontsize=9.5,
                color=INK,
                bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5},
            )
    axes.margins(x=0.06, y=0.12)
    label_axes(axes, x="expected milliseconds per query", y=f"{metric} (%)")
    legend_above(figure, axes)
    return figure
