"""Margins as probabilities: order kept, file round trip, bad files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.errors import ArtifactError
from rabtriever_core.models.probability import FILE, Calibration, sigmoid

MARGINS = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20)


def made(slope: float = 1.0, bias: float = 0.0, threshold: float | None = 0.5) -> Calibration:
    return Calibration(
        slope=slope, bias=bias, threshold=threshold, precision=0.9, unanswerable_share=0.5
    )


@settings(deadline=None)
@given(MARGINS, st.floats(0, 100), st.floats(-100, 100))
def test_ranking_by_probability_is_ranking_by_margin(
    margins: list[float], slope: float, bias: float
) -> None:
    probabilities = made(slope, bias).probabilities(sorted(margins))
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_without_change_it_is_the_sigmoid() -> None:
    margins = np.array([-800.0, -2.0, 0.0, 3.0, 800.0])
    expected = [0, 1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-3), 1]
    assert made().probabilities(margins) == pytest.approx(expected)
    assert sigmoid(2.0) == pytest.approx(expected[1] + np.tanh(1))


def test_sigmoid_of_any_size_keeps_its_precision() -> None:
    logits = np.array([-5000.0, -80.0, 0.0, 30.0, 5000.0], dtype=np.float32)
    assert sigmoid(logits).dtype == np.float64
    np.testing.assert_allclose(sigmoid(logits), [0, np.exp(-80), 0.5, 1 - np.exp(-30), 1], 1e-12)


@pytest.mark.parametrize("threshold", [None, 0.0, 0.25])
def test_saved_and_loaded(tmp_path: Path, threshold: float | None) -> None:
    calibration = made(2.5, -7.125, threshold)
    calibration.save(tmp_path)
    assert Calibration.load(tmp_path) == calibration


@pytest.mark.parametrize(
    "text", ["", "{}", '{"slope": -1, "bias": 0, "threshold": null, "precision": 0.9}', "[1"]
)
def test_a_damaged_file_says_what_to_run(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ArtifactError, match="rabtriever run calibration"):
        Calibration.load(tmp_path)


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="rabtriever run calibration"):
        Calibration.load(tmp_path)
