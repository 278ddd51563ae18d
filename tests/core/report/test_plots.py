"""Every plot is drawn, and twice with the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rabtriever_core.evaluation.schema import SYSTEM_LABELS, SYSTEMS
from rabtriever_core.report import plots
from rabtriever_core.report.plot_style import data_uri, save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RNG = np.random.default_rng(0)
_TEACHER = _RNG.normal(size=(20, 10))
_HISTORY = [
    {
        "step": s,
        "loss": 2.0 / (s + 1),
        "loss_mse": 1 / (s + 1),
        "loss_kl": 0.0,
        "learning_rate": 1,
    }
    for s in range(0, 200, 10)
]

DRAW: dict[str, Callable[[dict[str, Any]], "Figure"]] = {
    "quality": plots.quality_bars,
    "recall": plots.recall_curves,
    "response_time": lambda b: plots.response_time(b["response_time"]),
    "latency_quality": lambda b: plots.latency_quality(b["splits"]["test"]),
    "training": lambda _: plots.training_curves(_HISTORY),
    "margins": lambda _: plots.margin_agreement(_TEACHER * 0.9, _TEACHER),
    "ranks": lambda _: plots.rank_histogram({name: [1, 4, None, 200] for name in SYSTEMS}),
}


@pytest.mark.parametrize("name", DRAW)
def test_same_bytes_twice(name: str, benchmark: dict[str, Any], tmp_path: Path) -> None:
    files = [tmp_path / "a" / "plot.png", tmp_path / "b" / "plot.png"]
    for path in files:
        save_png(DRAW[name](benchmark), path)
    first, second = (path.read_bytes() for path in files)
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert b"Software" not in first
    assert b"Date" not in first


def test_confidence_intervals_are_optional(benchmark: dict[str, Any]) -> None:
    for split in benchmark["splits"].values():
        for system in split["systems"].values():
            del system["confidence"]
    assert not plots.quality_bars(benchmark).axes[0].collections


def test_constant_margins_have_no_correlation() -> None:
    constant = np.zeros((2, 2))
    assert plots.margin_agreement(constant, constant).axes[0].get_title("left") == ""


def test_training_curves_leave_out_the_learning_rate() -> None:
    labels = {text.get_text() for text in plots.training_curves(_HISTORY).axes[0].texts}
    assert labels == {"loss", "loss mse"}


def test_rank_histogram_counts_missing_documents_last() -> None:
    figure = plots.rank_histogram({"student": [1, 1, 5, None]})
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [50, 0, 0, 25, 0, 0, 25]


def test_no_global_figures() -> None:
    import matplotlib.pyplot as plt

    plots.rank_histogram({"student": [1]})
    assert plt.get_fignums() == []


def test_data_uri(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG")
    assert data_uri(path) == "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize("name", ["quality", "recall", "latency_quality"])
def test_further_systems_are_drawn(name: str, with_all_systems: dict[str, Any]) -> None:
    figure = DRAW[name](with_all_systems)
    texts = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    texts |= {text.get_text() for text in figure.axes[0].texts}
    left_out = {"popularity"} if name == "latency_quality" else set()  # it asks for no time
    assert {label for key, label in SYSTEM_LABELS.items() if key not in left_out} <= texts
    assert not {SYSTEM_LABELS[key] for key in left_out} & texts
