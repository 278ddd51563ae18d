"""The plots of the benchmark report; each function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.evaluation.schema import SYSTEM_LABELS, SYSTEMS, in_order
from rabtriever_core.report.plot_style import (
    COLORS,
    EXTRA_COLORS,
    GRID,
    INK,
    MARKERS,
    label_axes,
    label_line_ends,
    legend_above,
    new_figure,
    plain_log,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RANK_BUCKETS = (("1", 1), ("2", 2), ("3", 3), ("4–5", 5), ("6–10", 10), ("11–20", 20))


def quality_bars(benchmark: Mapping[str, Any], metric: str = "MRR@10") -> "Figure":
    """Bars of a metric per split and system, with 95% confidence intervals where given."""
    splits = benchmark["splits"]
    systems = _systems(splits)
    figure = new_figure(width=max(7.0, 0.575 * len(systems) * len(splits)))
    axes = figure.axes[0]
    width = 0.8 / len(systems)
    for number, system in enumerate(systems):
        results = [split["systems"][system] for split in splits.values()]
        x = np.arange(len(splits)) + (number - (len(systems) - 1) / 2) * width
        heights = np.array([100 * result["metrics"][metric] for result in results])
        axes.bar(x, heights, width * 0.92, color=COLORS[system], label=SYSTEM_LABELS[system])
        for position, height, result in zip(x, heights, results, strict=True):
            low, high = (100 * v for v in (result.get("confidence") or {}).get(metric, (0, 0)))
            if high:
                axes.vlines(position, low, high, color=INK, linewidth=1.3)
            top = max(height, high) + 1
            axes.text(position, top, f"{height:.1f}", ha="center", fontsize=9.5, color=INK)
    axes.set_xticks(range(len(splits)), [name.replace("_", " ") for name in splits])
    axes.set_ylim(0, min(112, axes.get_ylim()[1] * 1.04))
    label_axes(axes, y=f"{metric} (%)")
    legend_above(figure, axes)
    return figure


def recall_curves(benchmark: Mapping[str, Any]) -> "Figure":
    """Recall at 1, 3, 5 and 10; one panel per split."""
    splits, cutoffs = benchmark["splits"], (1, 3, 5, 10)
    figure = new_figure(width=max(7.0, 2.4 * len(splits)), columns=len(splits))
    for axes, (name, split) in zip(figure.axes, splits.items(), strict=True):
        for system in _systems(splits):
            recalls = [100 * split["systems"][system]["metrics"][f"R@{k}"] for k in cutoffs]
            axes.plot(
                cutoffs,
                recalls,
                color=COLORS[system],
                marker=MARKERS[system],
                markersize=6,
                linewidth=2,
                label=SYSTEM_LABELS[system],
            )
        axes.set_xticks(cutoffs)
        axes.set_ylim(0, 103)
        label_axes(axes, x="documents returned (k)", title=name.replace("_", " "))
    figure.axes[0].set_ylabel("recall@k (%)", fontsize=11, color=INK)
    legend_above(figure, figure.axes[0])
    return figure


def response_time(rows: Sequence[Mapping[str, float]]) -> "Figure":
    """Milliseconds per query against document length, logarithmic."""
    figure = new_figure()
    axes = figure.axes[0]
    tokens = [row["tokens"] for row in rows]
    axes.set_yscale("log")
    plain_log(axes.yaxis)
    ends = []
    for system in ("teacher", "student"):
        times = [row[f"{system}_ms"] for row in rows]
        color = COLORS[system]
        axes.plot(tokens, times, color=color, marker=MARKERS[system], linewidth=2, markersize=6)
        ends.append((times[-1], f"{SYSTEM_LABELS[system]}\n{times[-1]:.3g} ms", color))
    axes.set_xticks(tokens, [f"{n:g}" for n in tokens])
    lowest = min(min(row["teacher_ms"], row["student_ms"]) for row in rows)
    axes.set_ylim(lowest / 2, None)
    label_axes(axes, x="document length (tokens)", y="milliseconds per query")
    label_line_ends(axes, tokens[-1], ends, gap=0.13)
    return figure


def latency_quality(split: Mapping[str, Any], metric: str = "MRR@10") -> "Figure":
    """Quality against milliseconds per query; up and to the left is better."""
    figure = new_figure()
    axes = figure.axes[0]
    axes.set_xscale("log")
    plain_log(axes.xaxis)
    # Bi-encoders answer in the same time: labels beside many systems would lie on one another.
    shown = [system for system in in_order(split["systems"]) if system != "popularity"]
    crowded = len(shown) > len(SYSTEMS)
    for system in shown:
        result = split["systems"][system]
        x, y = result["ms_per_query"], 100 * result["metrics"][metric]
        name = SYSTEM_LABELS[system]
        axes.scatter(x, y, s=110, color=COLORS[system], marker=MARKERS[system], label=name)
        if not crowded:
            axes.annotate(
                name,
                (x, y),
                xytext=(0, 10),
                textcoords="offset points",
                ha="center",
                color=COLORS[system],
                fontsize=11,
            )
    axes.set_ylim(0, min(112, axes.get_ylim()[1] * 1.15))
    axes.margins(x=0.15)
    label_axes(axes, x="milliseconds per query (logarithmic)", y=f"{metric} (%)")
    if crowded:
        legend_above(figure, axes)
    return figure


def training_curves(history: Sequence[Mapping[str, float]]) -> "Figure":
    """Loss components against steps; `learning_rate` is left out."""
    figure = new_figure()
    axes = figure.axes[0]
    every = dict.fromkeys(name for row in history for name in row)
    names = [name for name in every if name not in ("step", "learning_rate")]
    ends = []
    axes.set_yscale("log")
    plain_log(axes.yaxis)
    for name, color in zip(names, _cycle(len(names)), strict=True):
        points = [(row["step"], row[name]) for row in history if row.get(name, 0) > 0]
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        smooth = _running_median(np.array(values))
        axes.plot(steps, values, color=color, linewidth=0.8, alpha=0.3)
        axes.plot(steps, smooth, color=color, linewidth=2)
        ends.append((float(smooth[-1]), name.replace("_", " "), color))
    axes.margins(x=0.01)
    label_axes(axes, x="step", y="loss (logarithmic)")
    label_line_ends(axes, history[-1]["step"], ends, gap=0.055)
    return figure


def margin_agreement(student: NDArray[np.floating], teacher: NDArray[np.floating]) -> "Figure":
    """Student's against teacher's margin of the same pairs, with their correlation."""
    from matplotlib.colors import LogNorm

    figure = new_figure()
    axes = figure.axes[0]
    x, y = np.ravel(teacher), np.ravel(student)
    cells = axes.hexbin(x, y, gridsize=45, mincnt=1, cmap="cividis_r", norm=LogNorm())
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    axes.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    bar = figure.colorbar(cells, ax=axes, shrink=0.75)
    plain_log(bar.ax.yaxis)
    bar.set_label("pairs", fontsize=11, color=INK)
    bar.ax.tick_params(labelsize=10, colors=INK)
    varied = np.ptp(x) > 0 and np.ptp(y) > 0  # otherwise there is no correlation
    title = f"correlation r = {np.corrcoef(x, y)[0, 1]:.3f}" if varied else ""
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    label_axes(axes, x="teacher's margin", y="student's margin", title=title)
    return figure


def rank_histogram(ranks: Mapping[str, Sequence[int | None]]) -> "Figure":
    """Share of queries by the rank of their first right document, per system."""
    figure = new_figure()
    axes = figure.axes[0]
    last = _RANK_BUCKETS[-1][1]
    width = 0.8 / len(ranks)
    for number, (system, found) in enumerate(ranks.items()):
        tops = np.array([top for _, top in _RANK_BUCKETS])
        values = [last + 1 if rank is None else rank for rank in found]
        bucket = np.searchsorted(tops, values)
        shares = 100 * np.bincount(bucket, minlength=len(tops) + 1) / len(values)
        x = np.arange(len(shares)) + (number - (len(ranks) - 1) / 2) * width
        axes.bar(x, shares, width * 0.92, color=COLORS[system], label=SYSTEM_LABELS[system])
    names = [*(name for name, _ in _RANK_BUCKETS), f"{last + 1}+"]
    axes.set_xticks(range(len(names)), names)
    label_axes(axes, x="rank of the right document", y="queries (%)")
    legend_above(figure, axes)
    return figure


def _systems(splits: Mapping[str, Any]) -> tuple[str, ...]:
    return in_order(next(iter(splits.values()))["systems"])


def _running_median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    half = max(1, len(values) // 50)
    return np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    )


def _cycle(count: int) -> list[str]:
    return [EXTRA_COLORS[i % len(EXTRA_COLORS)] for i in range(count)]
