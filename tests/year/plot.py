"""Served quality over the year."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rabtriever_core.report.plot_style import COLORS, INK, label_axes, new_figure, save_png

_SERVED, _REFUSED, _STOPPED = COLORS["teacher"], COLORS["student"], COLORS["bm25"]


def draw(months: Sequence[dict[str, Any]], path: Path) -> None:
    """What is served (line), what was refused, stopped or rolled back, on each month's queries."""
    figure = new_figure(9.0, 4.6)
    axes = figure.axes[0]
    known = [row for row in months if row.get("quality") is not None]
    axes.plot(
        [row["month"] for row in known],
        [row["quality"] for row in known],
        color=_SERVED,
        marker="o",
        linewidth=2,
        label="served",
    )
    refused = [row for row in months if row["outcome"] == "refused"]
    axes.scatter(
        [row["month"] for row in refused],
        [row["candidate"] for row in refused],
        color=_REFUSED,
        marker="X",
        s=70,
        zorder=3,
        label="refused by a gate",
    )
    gone = [row for row in months if row["made"] and row["outcome"] == "promoted"]
    gone = [row for row in gone if row["served"] != row["made"]]
    axes.scatter(
        [row["month"] for row in gone],
        [row["candidate"] for row in gone],
        facecolors="none",
        edgecolors=_SERVED,
        s=70,
        zorder=3,
        label="rolled back by hand",
    )
    noted = [row for row in months if row["notes"]]
    for number, row in enumerate(noted):
        if row["outcome"] == "validation stopped it":
            axes.axvspan(row["month"] - 0.4, row["month"] + 0.4, color=_STOPPED, alpha=0.15, lw=0)
        words = "\n".join(textwrap.fill(text, 18) for text in [*row["notes"], row["outcome"]])
        axes.annotate(
            words,
            (row["month"], 0.02 if number % 2 else 0.21),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=7.5,
            color=INK,
        )
    axes.set_xticks([row["month"] for row in months])
    axes.set_ylim(0, 1)
    label_axes(axes, x="version of the data", y="MRR@10 on the version's test queries")
    axes.legend(loc="upper left", frameon=False, fontsize=9.5, ncols=3)
    save_png(figure, path)
