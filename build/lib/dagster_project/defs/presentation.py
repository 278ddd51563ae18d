"""What people see of an artifact in the Dagster UI: figures that chart, tables, plots, paths."""

import base64
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_project.defs.resources import Recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metadata = dict[str, dg.MetadataValue[Any]]


class StageRun(dg.Config):
    """Options of one materialization."""

    force: bool = False
    """Run although the artifact is up to date."""


def artifact_metadata(recorded: Recorded) -> Metadata:
    """Figures, history plot, settings, inputs and place of an artifact."""
    artifact = recorded.artifact
    metadata: Metadata = {
        name: dg.MetadataValue.float(value) for name, value in figures(artifact.meta.metrics)
    }
    if recorded.seconds is not None:
        metadata["seconds"] = dg.MetadataValue.float(recorded.seconds)
    metadata |= {
        "reused": dg.MetadataValue.bool(artifact.reused),
        "why": dg.MetadataValue.text("; ".join(artifact.reasons) or "up to date"),
        "hash": dg.MetadataValue.text(recorded.data_version),
        "folder": dg.MetadataValue.path(artifact.folder),
        "config": dg.MetadataValue.json(artifact.meta.config),
        "inputs": table(("input", "hash"), sorted(artifact.meta.parents.items())),
    }
    # A calibration's precision is another one, and a figure.
    if isinstance(precision := artifact.meta.metrics.get("precision"), str):
        metadata["precision"] = dg.MetadataValue.text(precision)
    history = artifact.folder / "history.csv"
    if history.is_file():
        metadata["history"] = history_plot(history)
    return metadata


def figures(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested metrics, under its path: `dev MRR@10`."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from figures(value, f"{prefix}{name} ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MetadataValue[Any]:
    """A Markdown table; its cells may hold anything."""
    lines = [header, ["---"] * len(header), *rows]
    return dg.MetadataValue.md(
        "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)
    )


def history_plot(path: Path) -> dg.MetadataValue[Any]:
    """The training curves of a history.csv (columns step, loss, …) as an inline picture."""
    from rabtriever_core.report.plots import training_curves

    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: float(value) for name, value in row.items() if name.startswith(("step", "loss"))}
            for row in csv.DictReader(file)
        ]
    return drawing(training_curves(rows), "training loss")


def drawing(figure: "Figure", caption: str) -> dg.MetadataValue[Any]:
    """A figure shown in place."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=70)
    return picture(buffer.getvalue(), caption)


def picture(png: bytes, caption: str) -> dg.MetadataValue[Any]:
    """A PNG shown in place."""
    data = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{data})")


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
