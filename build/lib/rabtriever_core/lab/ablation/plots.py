"""A plan's summary drawn: points with error bars for a table, lines for a curve."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rabtriever_core.evaluation.schema import SYSTEM_LABELS
from rabtriever_core.lab.ablation.plan import Plan
from rabtriever_core.report.plot_style import (
    COLORS,
    GRID,
    INK,
    MARKERS,
    label_axes,
    legend_above,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(plan: Plan, summary: Mapping[str, Any]) -> "Figure":
    """One panel per data set; error bars are one sd over seeds."""
    return _curves(plan, summary) if plan.x is not None else _points(plan, summary)


def _points(plan: Plan, summary: Mapping[str, Any]) -> "Figure":
    datasets = summary["datasets"]
    height = 1.4 + 0.36 * len(plan.variants)
    figure = new_figure(width=3.4 + 2.7 * len(datasets), height=height, columns=len(datasets))
    names = list(plan.variants)
    for axes, (dataset, found) in zip(figure.axes, datasets.items(), strict=True):
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        for number, system in enumerate(plan.systems):
            shift = 0.18 * (number - (len(plan.systems) - 1) / 2)
            shown = [name for name in names if name in found["variants"]]
            cells = [found["variants"][name]["systems"][system][plan.metric] for name in shown]
            means = [100 * cell["mean"] for cell in cells]
            axes.errorbar(
                means,
                [names.index(name) + shift for name in shown],
                xerr=[100 * cell.get("sd", 0.0) for cell in cells],
                fmt=MARKERS[system],
                color=COLORS[system],
                label=SYSTEM_LABELS[system],
                markersize=6,
                capsize=3,
                linewidth=1.3,
            )
            if shown and shown[0] == names[0]:
                axes.axvline(means[0], color=COLORS[system], linewidth=1, linestyle=":")
        label_axes(axes, x=f"{plan.metric} (%)", title=dataset)
    figure.axes[0].set_yticks(range(len(names)), [v.label for v in plan.variants.values()])
    figure.axes[0].set_ylim(len(names) - 0.5, -0.5)
    if len(plan.systems) > 1:
        legend_above(figure, figure.axes[0])
    return figure


def _curves(plan: Plan, summary: Mapping[str, Any]) -> "Figure":
    datasets = summary["datasets"]
    figure = new_figure(width=1.4 + 3.4 * len(datasets), height=3.8, columns=len(datasets))
    for axes, (dataset, found) in zip(figure.axes, datasets.items(), strict=True):
        placed = sorted((plan.variants[name].x or 0.0, name) for name in found["variants"])
        for system in plan.systems:
            cells = [found["variants"][name]["systems"][system][plan.metric] for _, name in placed]
            axes.errorbar(
                [x for x, _ in placed],
                [100 * cell["mean"] for cell in cells],
                yerr=[100 * cell.get("sd", 0.0) for cell in cells],
                marker=MARKERS[system],
                color=COLORS[system],
                label=SYSTEM_LABELS[system],
                markersize=6,
                capsize=3,
                linewidth=1.6,
            )
        _scale(axes, plan, [x for x, _ in placed])
        label_axes(axes, x=plan.x.name if plan.x else "", title=dataset)
    label_axes(
        figure.axes[0],
        x=plan.x.name if plan.x else "",
        y=f"{plan.metric} (%)",
        title=next(iter(datasets)),
    )
    if len(plan.systems) > 1:
        legend_above(figure, figure.axes[0])
    return figure


def _scale(axes: "Axes", plan: Plan, xs: list[float]) -> None:
    """The plan's scale, with a tick at every measured value."""
    from matplotlib.ticker import NullLocator

    scale = plan.x.scale if plan.x else "linear"
    if scale == "symlog":
        least = min((x for x in xs if x > 0), default=1.0)
        axes.set_xscale("symlog", linthresh=least, linscale=0.5)
    else:
        axes.set_xscale(scale)
    axes.set_xticks(xs, [f"{x:g}" for x in xs])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", colors=INK)
