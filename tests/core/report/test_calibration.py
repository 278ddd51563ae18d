"""The calibration in benchmark.json, on the page and in plots."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.evaluation.calibration_result import split_calibration
from rabtriever_core.evaluation.schema import CalibrationResult, validated
from rabtriever_core.models.probability import Calibration
from rabtriever_core.report.benchmark import write_report
from rabtriever_core.report.gallery import draw_calibration


def made(
    threshold: float | None, slope: float = 2.0, queries: int = 40, seed: int = 0
) -> dict[str, Any]:
    """Random margins, higher for the right document."""
    rng = np.random.default_rng(seed)
    fitted = Calibration(
        slope=slope, bias=-3, threshold=threshold, precision=0.9, unanswerable_share=0.5
    )
    relevant = {f"q{i}": {"d0"} for i in range(queries)}
    run = {
        query: {f"d{d}": float(rng.normal() + 2 * (d == 0)) for d in range(12)}
        for query in relevant
    }
    part = split_calibration(run, run, relevant, fitted, 10, 12)
    splits = {"test": part, "test_2": part}
    return {**fitted.model_dump(), "documents_per_query": 10, "splits": splits}


@pytest.mark.parametrize("threshold", [None, 0.0, 0.4, 1.0])
def test_section_is_written_whatever_the_threshold(
    benchmark: dict[str, Any], tmp_path: Path, threshold: float | None
) -> None:
    calibration = made(threshold)
    plots = draw_calibration(tmp_path / "plots", calibration)
    page = write_report(benchmark | {"calibration": calibration}, {}, [], tmp_path, plots)
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert ("No threshold made 90.0%" in text) == (threshold is None)
    assert ("of the queries are answered" in text) == (threshold is not None)
    assert ("of the answers are right (95% interval" in text) == (threshold in (0.0, 0.4))


def test_a_report_without_calibration_has_no_such_section(
    benchmark: dict[str, Any], tmp_path: Path
) -> None:
    assert 'id="calibration"' not in write_report(benchmark, {}, [], tmp_path).read_text("utf-8")


def test_plots_have_the_same_bytes_twice(tmp_path: Path) -> None:
    first = draw_calibration(tmp_path / "a", made(0.4))
    second = draw_calibration(tmp_path / "b", made(0.4))
    assert [p.read_bytes() for p in first.values()] == [p.read_bytes() for p in second.values()]


@settings(deadline=None, max_examples=40)
@given(
    st.one_of(st.none(), st.floats(0, 1)),
    st.sampled_from([0.0, 0.3, 50.0]),
    st.integers(1, 30),
    st.integers(0, 99),
)
def test_any_calibration_keeps_the_contract(
    threshold: float | None, slope: float, queries: int, seed: int
) -> None:
    result = CalibrationResult.model_validate(made(threshold, slope, queries, seed))
    abstention = result.splits["test"].abstention
    assert abstention.curve[-1][0] == pytest.approx(1.0)
    for curve in (abstention.curve, abstention.curve_in_mix):
        assert all(0 <= coverage <= 1 and 0 <= risk <= 1 for coverage, risk in curve)
    if abstention.precision is not None and abstention.answered == 1:
        # Answering all is as precise as the first documents are right.
        assert abstention.precision == pytest.approx(1 - abstention.curve[-1][1])


def test_unknown_numbers_are_refused(benchmark: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        validated(benchmark | {"calibration": made(0.4) | {"extra": 1}})
