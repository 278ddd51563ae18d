"""One look for all plots: colours, axes, direct labels; and writing them reproducibly."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.workspace.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe-Ito: told apart with every common form of colour blindness, and in grey.
COLORS = {
    "popularity": "#BBBBBB",
    "bm25": "#767676",
    "bi_encoder": "#009E73",
    "teacher": "#0072B2",
    "student": "#D55E00",
    "minilm": "#000000",
    "margin_mse_bi_encoder": "#7FCFB9",
    "kl_bi_encoder": "#B3B300",
    "linear_reranker": "#56B4E9",
    "pool_classifier": "#CC79A7",
    "teacher_cosine": "#882255",
    "hybrid": "#E69F00",
}
MARKERS = {
    "popularity": "*",
    "bm25": "s",
    "bi_encoder": "^",
    "teacher": "D",
    "student": "o",
    "minilm": "X",
    "margin_mse_bi_encoder": "<",
    "kl_bi_encoder": ">",
    "linear_reranker": "d",
    "pool_classifier": "P",
    "teacher_cosine": "v",
    "hybrid": "h",
}
EXTRA_COLORS = ("#332288", "#AA4499", "#117733", "#CC6677", "#6699CC", "#767676")
INK, GRID = "#333333", "#E3E3E3"
_DPI = 150


def new_figure(width: float = 7.0, height: float = 4.4, columns: int = 1) -> "Figure":
    """A figure with clean axes side by side; independent of matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    for axes in figure.subplots(1, columns, sharey=True, squeeze=False)[0]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#AAAAAA")
        axes.tick_params(labelsize=10, colors=INK, length=3, color="#AAAAAA")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def label_axes(axes: "Axes", *, x: str = "", y: str = "", title: str = "") -> None:
    """Name the axes."""
    axes.set_xlabel(x, fontsize=11, color=INK)
    axes.set_ylabel(y, fontsize=11, color=INK)
    if title:
        axes.set_title(title, fontsize=11, color=INK, loc="left")


def plain_log(axis: "Axis") -> None:
    """Label a logarithmic axis at 1, 2, 5, 10, … in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def legend_above(figure: "Figure", axes: "Axes") -> None:
    """A frameless legend above the axes: in one row, or in rows where the labels are many."""
    handles, labels = axes.get_legend_handles_labels()
    fitting = int(figure.get_figwidth() // 2)
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=len(labels) if len(labels) <= 4 else fitting,
        frameon=False,
        fontsize=10.5,
        labelcolor=INK,
    )


def label_line_ends(
    axes: "Axes", x: float, ends: Sequence[tuple[float, str, str]], gap: float
) -> None:
    """Write labels beside the right ends of lines, pushed apart so that none overlap.

    Args:
        axes: where.
        x: where the lines end.
        ends: (y, text, colour) of every line.
        gap: least distance of two labels, as a share of the axis' height.
    """
    axes.get_ylim()  # settles the automatic limits, which the transformation needs
    to_axes = axes.transData + axes.transAxes.inverted()
    lowest = -1.0
    for y, text, color in sorted(ends):
        position = max(float(to_axes.transform((x, y))[1]), lowest + gap)
        lowest = position
        axes.annotate(
            text,
            xy=(x, y),
            xycoords="data",
            xytext=(1.01, position),
            textcoords="axes fraction",
            color=color,
            fontsize=10.5,
            va="center",
            annotation_clip=False,
        )


def save_png(figure: "Figure", path: Path) -> None:
    """Write a figure; the same figure gives the same bytes (no date, no software version)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=_DPI, metadata={"Software": None})


def data_uri(path: Path) -> str:
    """A PNG file as a `data:` address, to be put into a page."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
