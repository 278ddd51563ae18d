"""Plots of the calibration: reliability, agreement with the teacher, risk against coverage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rabtriever_core.evaluation.significance import proportion_interval
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

CALIBRATED = "#332288"
_LINES = (
    ("teacher_calibrated", "Teacher", COLORS["teacher"], MARKERS["teacher"]),
    ("calibrated", "Student", COLORS["student"], MARKERS["student"]),
)


def reliability_diagram(calibration: Mapping[str, Any]) -> "Figure":
    """Share of right documents against calibrated probability, bins of 0.1; a panel per split.

    Bars are 95% intervals of the shares (exact binomial).
    """
    splits = calibration["splits"]
    figure = _panels(len(splits))
    for axes, (name, split) in zip(figure.axes, splits.items(), strict=True):
        _square(axes)
        for key, label, color, marker in _LINES:
            if key in split["best"]:
                _points(axes, split["best"][key]["bins"], label, color, marker)
        label_axes(axes, x="probability", title=_title(name, split["best"]["pairs"], "pairs"))
    figure.axes[0].set_ylabel("share judged right", fontsize=11, color=INK)
    legend_above(figure, figure.axes[0])
    return figure


def teacher_agreement(calibration: Mapping[str, Any]) -> "Figure":
    """Teacher's mean probability against the student's, bins of width 0.1; one panel per split."""
    splits = calibration["splits"]
    figure = _panels(len(splits))
    for axes, (name, split) in zip(figure.axes, splits.items(), strict=True):
        _square(axes)
        bins = split["teacher_agreement"]["bins"]
        x, y = [b["predicted"] for b in bins], [b["observed"] for b in bins]
        axes.plot(x, y, color=COLORS["student"], marker=MARKERS["student"], linewidth=2)
        label_axes(
            axes,
            x="student's probability",
            title=_title(name, split["best"]["pairs"], "pairs"),
        )
    figure.axes[0].set_ylabel("teacher's mean probability", fontsize=11, color=INK)
    return figure


def risk_coverage_curves(calibration: Mapping[str, Any]) -> "Figure":
    """Share of wrong answers against share of answered queries; the fitted threshold marked."""
    splits = calibration["splits"]
    figure = _panels(len(splits))
    mix = f"{calibration['unanswerable_share']:.0%} of them unanswerable"
    for axes, (name, split) in zip(figure.axes, splits.items(), strict=True):
        result = split["abstention"]
        for key, label, color, at in (
            ("curve", "queries as they are", COLORS["student"], ("answered", "precision")),
            ("curve_in_mix", mix, CALIBRATED, ("answered_in_mix", "precision_in_mix")),
        ):
            coverage, risk = zip(*result[key], strict=True)
            axes.plot(
                [100 * c for c in coverage],
                [100 * r for r in risk],
                color=color,
                linewidth=2,
                label=label,
            )
            if at[1] in result:
                x, y = 100 * result[at[0]], 100 * (1 - result[at[1]])
                axes.plot(x, y, marker="o", markersize=9, color=color, clip_on=False)
                axes.annotate(
                    f"{y:.1f}%",
                    (x, y),
                    xytext=(-6, 9),
                    textcoords="offset points",
                    ha="right",
                    fontsize=9.5,
                    color=color,
                )
        allowed = 100 * (1 - calibration["precision"])
        axes.axhline(allowed, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 103)
        label_axes(axes, x="queries answered (%)", title=_title(name, result["queries"], "queries"))
    # One axis for all panels: what they reach is compared.
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].set_ylabel("wrong answers (%)", fontsize=11, color=INK)
    legend_above(figure, figure.axes[0])
    return figure


def _panels(count: int) -> "Figure":
    return new_figure(width=max(7.0, 3.9 * count), height=4.6, columns=count)


def _square(axes: "Axes") -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="x", color=GRID, linewidth=0.8)


def _points(
    axes: "Axes", bins: Sequence[Mapping[str, float]], label: str, color: str, marker: str
) -> None:
    x, y = [b["predicted"] for b in bins], [b["observed"] for b in bins]
    axes.plot(x, y, color=color, marker=marker, markersize=6.5, linewidth=1.6, label=label)
    for each in bins:
        pairs = int(each["pairs"])
        low, high = proportion_interval(round(each["observed"] * pairs), pairs)
        axes.vlines(each["predicted"], low, high, color=color, linewidth=1.2, alpha=0.6)


def _title(split: str, count: int, unit: str) -> str:
    return f"{split.replace('_', ' ')} ({count:,} {unit})"
