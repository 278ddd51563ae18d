"""The table of stored vectors as Markdown, page and plot, all from the same numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.lab.measurements.vectors import label
from rabtriever_core.report.page import page_environment
from rabtriever_core.report.plot_style import (
    EXTRA_COLORS,
    INK,
    data_uri,
    label_axes,
    legend_above,
    new_figure,
    plain_log,
    save_png,
)
from rabtriever_core.workspace.atomic import write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = (
    "vectors",
    "dimensions",
    "recall@10",
    "without graph",
    "bytes read",
    "bytes stored",
    "of raw",
    "graph bytes",
    "p50 ms",
    "of raw",
)
_NOTES = (
    "recall@10 is against the exact ranking by the student's float32 vectors; `without graph` is "
    "what gauge and truncation alone leave of it.",
    "turbo8 (Qdrant's TurboQuant) stores one byte per dimension instead of four; `no graph` "
    "compares a query with every vector so stored. Neither turbo8 nor float16 is a setting of the "
    "index yet.",
    "Bytes are per document, measured on the engine's files. Bytes read are those of the vectors "
    "that every candidate is compared by (to be kept in memory); bytes stored add the full vectors "
    "under quantized ones, of which only rescored candidates are read, but which Qdrant keeps in "
    "any case. The graph comes on top of both.",
    "p50 is of single queries in process, one thread, on this machine.",
)
_KINDS = {
    ("float32", "none"): "float32",
    ("float16", "none"): "float16",
    ("turbo8", "none"): "turbo8",
    ("float32", "int8"): "int8",
    ("float32", "binary"): "binary",
}


def write_vectors_report(measured: Mapping[str, Any], folder: Path) -> Path:
    """Write vectors.json, vectors.md, vectors.png and vectors.html; returns the page."""
    write_json(folder / "vectors.json", measured)
    write_text(folder / "vectors.md", markdown(measured) + "\n")
    save_png(recall_against_bytes(measured), folder / "vectors.png")
    html = (
        page_environment()
        .get_template("vectors.html.j2")
        .render(
            headline=headline(measured),
            columns=_COLUMNS,
            rows=[_cells(row) for row in measured["rows"]],
            notes=_NOTES,
            plot=data_uri(folder / "vectors.png"),
        )
    )
    write_text(folder / "vectors.html", html)
    return folder / "vectors.html"


def headline(measured: Mapping[str, Any]) -> str:
    """What was measured on, and who reaches the bar."""
    bar = measured["bar"]
    reached = "; ".join(bar["reached_by"]) or "none"
    return (
        f"{measured.get('dataset', 'vectors')}: {measured['documents']:,} documents of "
        f"{measured['dimension']} dimensions, {measured['queries']} "
        f"{measured.get('split', '')} queries. recall@10 of at least {bar['recall@10']:g} at "
        f"{bar['stored_share']:.0%} of the raw bytes: {reached}."
    )


def markdown(measured: Mapping[str, Any]) -> str:
    """Headline, table and notes."""
    table = [_COLUMNS, ("---",) + ("---:",) * (len(_COLUMNS) - 1)]
    table += [_cells(row) for row in measured["rows"]]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    return "\n".join([headline(measured), "", *lines, "", *(f"- {note}" for note in _NOTES)])


def recall_against_bytes(measured: Mapping[str, Any]) -> "Figure":
    """recall@10 against stored bytes per document; up and to the left is better."""
    figure = new_figure(width=8)
    axes = figure.axes[0]
    axes.set_xscale("log")
    plain_log(axes.xaxis)
    for (kind, name), color in zip(_KINDS.items(), EXTRA_COLORS, strict=False):
        rows = [row for row in measured["rows"] if (row["datatype"], row["quantization"]) == kind]
        if rows:
            x, y = [row["stored_bytes"] for row in rows], [row["recall@10"] for row in rows]
            axes.scatter(x, y, s=55, color=color, label=name, alpha=0.8)
    bar = measured["bar"]
    axes.axhline(bar["recall@10"], color=INK, linewidth=1, linestyle=":")
    axes.axvline(bar["stored_share"] * measured["raw_bytes"], color=INK, linewidth=1, linestyle=":")
    label_axes(axes, x="bytes stored per document (logarithmic)", y="recall@10")
    legend_above(figure, axes)
    return figure


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        label(dict(row)),
        str(row["dimensions"]),
        f"{row['recall@10']:.4f}",
        f"{row['recall@10 without graph']:.4f}",
        f"{row['hot_bytes']:.0f}",
        f"{row['stored_bytes']:.0f}",
        f"{row['stored_share']:.3f}",
        f"{row['graph_bytes']:.0f}",
        f"{row['p50_ms']:.3f}",
        f"{row['p50_ratio']:.2f}",
    )
