"""All plots of one benchmark, drawn and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.data.dataset import Dataset
from rabtriever_core.evaluation.metrics import Run, first_right_rank
from rabtriever_core.evaluation.schema import in_order
from rabtriever_core.report import calibration_plots, plots, two_stage_plot, wording
from rabtriever_core.report.plot_style import save_png
from rabtriever_core.report.wording import headline_split

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_plots(
    folder: Path,
    benchmark: Mapping[str, Any],
    dataset: Dataset,
    runs: Mapping[str, Mapping[str, Run]],
    margins: tuple[NDArray[np.floating], NDArray[np.floating]],
    histories: Mapping[str, Sequence[Mapping[str, float]]],
) -> dict[str, Path]:
    """Write every plot as PNG.

    Args:
        folder: where to write.
        benchmark: the numbers.
        dataset: queries and judgements.
        runs: split → system → run.
        margins: student's and teacher's of the same pairs.
        histories: model → rows of its training.

    Returns:
        Title → file.
    """
    split = headline_split(benchmark["splits"])
    shown = split.replace("_", " ")
    figures = {
        "quality": (
            "MRR@10 of every system and split, with 95% intervals",
            plots.quality_bars(benchmark),
        ),
        "recall": ("Right documents among the first k", plots.recall_curves(benchmark)),
        "ranks": (
            f"Where the right document is ranked ({shown})",
            plots.rank_histogram(_ranks(dataset, split, runs[split])),
        ),
        "latency_quality": (
            f"Quality against response time ({shown})",
            plots.latency_quality(benchmark["splits"][split]),
        ),
        "margins": (
            "Student's margin against the teacher's, same pairs",
            plots.margin_agreement(*margins),
        ),
    }
    if benchmark.get("response_time"):
        figures["response_time"] = (
            "Response time against document length, 16 documents",
            plots.response_time(benchmark["response_time"]),
        )
    for name, history in histories.items():
        figures[f"training_{name}"] = (
            f"Training of the {name.replace('_', ' ')}",
            plots.training_curves(history),
        )
    return _write(figures, folder)


def draw_calibration(folder: Path, calibration: Mapping[str, Any]) -> dict[str, Path]:
    """Write the plots of the calibration as PNG: title → file."""
    figures = {
        "reliability": (
            "Reliability: what share of documents of a probability is right",
            calibration_plots.reliability_diagram(calibration),
        ),
        "risk_coverage": (
            "Wrong answers against queries answered; the dot is the fitted threshold",
            calibration_plots.risk_coverage_curves(calibration),
        ),
        "teacher_agreement": (
            "Student's probability against the teacher's, same pairs",
            calibration_plots.teacher_agreement(calibration),
        ),
    }
    return _write(figures, folder)


def draw_two_stage(folder: Path, two_stage: Mapping[str, Any]) -> dict[str, Path]:
    """Write a plot per split as PNG, the title says what is best: title → file."""
    figures = {
        f"two_stage_{split}": (
            wording.reranking(split, curve["points"]),
            two_stage_plot.quality_for_time(two_stage, split),
        )
        for split, curve in two_stage["splits"].items()
    }
    return _write(figures, folder)


def _write(figures: Mapping[str, tuple[str, "Figure"]], folder: Path) -> dict[str, Path]:
    written = {}
    for name, (title, figure) in figures.items():
        written[title] = folder / f"{name}.png"
        save_png(figure, written[title])
    return written


def _ranks(dataset: Dataset, split: str, runs: Mapping[str, Run]) -> dict[str, list[int | None]]:
    return {
        name: [
            first_right_rank(scores, dataset.relevant(split, query))
            for query, scores in runs[name].items()
        ]
        for name in in_order(runs)
    }
