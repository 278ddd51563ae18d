"""The benchmark report: `benchmark.json` and one self-contained page from the same numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.schema import SYSTEM_LABELS, in_order, validated
from rabtriever_core.report import wording
from rabtriever_core.report.page import page_environment
from rabtriever_core.report.plot_style import data_uri
from rabtriever_core.workspace.atomic import write_json, write_text

JSON_FILE, HTML_FILE = "benchmark.json", "benchmark.html"


def write_report(
    benchmark: dict[str, Any],
    plots: Mapping[str, Path],
    examples: Sequence[Mapping[str, Any]],
    folder: Path,
    calibration_plots: Mapping[str, Path] | None = None,
    two_stage_plots: Mapping[str, Path] | None = None,
) -> Path:
    """Write `benchmark.json` and `benchmark.html`.

    Args:
        benchmark: the numbers, see `evaluation.schema`.
        plots: title → PNG file; inlined.
        examples: see `evaluation.examples.pick_examples`.
        folder: where to write.
        calibration_plots: title → PNG file, for the section of the calibration; inlined.
        two_stage_plots: title → PNG file, for the section of two-stage answers; inlined.

    Returns:
        The page.

    Raises:
        pydantic.ValidationError: the numbers break the contract; nothing is written.
    """
    benchmark = validated(benchmark)
    shown = wording.headline_split(benchmark["splits"])
    environment = page_environment(
        {
            "milliseconds": wording.milliseconds,
            "comparison": wording.comparison,
            "points": wording.points,
            "p_value": wording.p_value,
            "shown_points": _shown_points,
        }
    )
    page = environment.get_template("report.html.j2").render(
        benchmark=benchmark,
        headline=wording.headline(benchmark),
        best={name: _best(split["systems"]) for name, split in benchmark["splits"].items()},
        metrics=METRICS,
        systems=in_order(benchmark["splits"][shown]["systems"]),
        labels=SYSTEM_LABELS,
        plots={title: data_uri(path) for title, path in plots.items()},
        calibration_plots={t: data_uri(path) for t, path in (calibration_plots or {}).items()},
        two_stage_plots={t: data_uri(path) for t, path in (two_stage_plots or {}).items()},
        examples=examples,
    )
    write_json(folder / JSON_FILE, benchmark)
    write_text(folder / HTML_FILE, page)
    return folder / HTML_FILE


def _shown_points(curve: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of two-stage answers the named points, and the best one where that is another."""
    best = min(curve, key=lambda point: (-point["metrics"]["MRR@10"], point["share"]))
    return [point for point in curve if "role" in point or point is best]


def _best(systems: Mapping[str, Any]) -> dict[str, str]:
    """Metric → its highest value as printed: whoever prints the same is best too."""
    return {
        metric: wording.percent(max(system["metrics"][metric] for system in systems.values()))
        for metric in METRICS
    }
