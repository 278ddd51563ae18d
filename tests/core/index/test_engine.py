"""Stored sizes and quantized searches on Qdrant's own engine."""

import importlib.util

import numpy as np
import pytest

from rabtriever_core.config import GaugeConfig
from rabtriever_core.index.engine import Build, Search, run_engine
from rabtriever_core.lab.measurements.vectors import Variant, label, measure
from rabtriever_core.lab.measurements.vectors_report import write_vectors_report
from tests.core.index.test_gauge import asked, clustered

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("qdrant_edge") is None,
    reason="qdrant-edge-py is not installed: pip install 'rabtriever[edge]'",
)
DOCUMENTS, QUERIES = clustered(1500, 32, 1), asked(40, 32, 2)


@pytest.mark.parametrize(
    ("build", "vectors", "quantized"),
    [
        (Build(), 4 * 32, 0),
        (Build(datatype="float16"), 2 * 32, 0),
        # Codes and a float32 of Qdrant's; turbo8 keeps nothing else.
        (Build(datatype="turbo8"), 32 + 4, 0),
        (Build(quantization="int8"), 4 * 32, 32 + 4),
        (Build(quantization="binary"), 4 * 32, 16),  # at least 128 bits
    ],
)
def test_bytes_are_those_of_the_files(build: Build, vectors: int, quantized: int) -> None:
    measured = run_engine(DOCUMENTS, QUERIES[:3], build, [Search()])
    assert measured.bytes_per_vector["vectors"] == pytest.approx(vectors, abs=0.01)
    assert measured.bytes_per_vector["quantized"] == pytest.approx(quantized, abs=0.01)
    assert measured.bytes_per_vector["graph"] > 5


def test_exact_search_ignores_quantized_vectors_and_rescoring_mends_scores() -> None:
    exact, plain, rescored = run_engine(
        DOCUMENTS,
        QUERIES,
        Build(quantization="int8"),
        [Search(exact=True), Search(), Search(rescore=True, oversampling=4)],
    ).searches
    margins = QUERIES @ DOCUMENTS.T
    expected = -np.sort(-margins, axis=1)[:, :10]
    np.testing.assert_allclose(exact.scores, expected, rtol=1e-4, atol=1e-2)
    for found, right in ((plain, False), (rescored, True)):
        true = np.take_along_axis(margins, found.rows, axis=1)
        assert np.allclose(found.scores, true, rtol=1e-4, atol=1e-2) is right


def test_table_of_variants(tmp_path) -> None:
    chosen = [
        Variant("raw", GaugeConfig()),
        Variant("balanced", GaugeConfig(method="balanced", dimensions=8)),
        Variant("balanced", GaugeConfig(method="balanced"), Build(quantization="int8")),
        Variant(
            "balanced 28/32",
            GaugeConfig(method="balanced", dimensions=28, equal_norms=False),
            Build(datatype="turbo8"),
        ),
    ]
    measured = measure(DOCUMENTS, QUERIES, asked(200, 32, 3), chosen)
    rows = measured["rows"]
    assert [row["dimensions"] for row in rows] == [32, 8, 33, 33, 33, 28, 28]
    assert [row["rescore"] for row in rows] == [False, False, False, True, True, False, False]
    raw, short, *quantized, turbo8, turbo8_exact = rows
    assert (raw["stored_bytes"], raw["p50_ratio"]) == (pytest.approx(128, abs=0.01), 1.0)
    assert raw["recall@10 without graph"] == 1.0
    assert short["stored_share"] == pytest.approx(0.25, abs=1e-4)
    assert short["hot_bytes"] == short["stored_bytes"]
    for row in quantized:
        # 33 dimensions, padded to 48, and a float32; the full vectors lie beside them.
        assert row["hot_bytes"] == pytest.approx(52, abs=0.01)
        assert row["stored_bytes"] == pytest.approx(52 + 4 * 33, abs=0.01)
        assert row["recall@10 without graph"] == 1.0
    for row in rows:
        assert 0 <= row["recall@10"] <= 1
        assert row["p50_ms"] > 0
    assert (turbo8["exact"], turbo8_exact["exact"], raw["exact"]) == (False, True, False)
    assert turbo8_exact["stored_bytes"] == pytest.approx(28 + 4, abs=0.01)  # a quarter
    assert turbo8_exact["recall@10"] > 0.9
    assert (turbo8["graph_bytes"] > 5, turbo8_exact["graph_bytes"]) == (True, 0)
    reached = {label(row) for row in (short, turbo8, turbo8_exact) if row["recall@10"] >= 0.99}
    assert set(measured["bar"]["reached_by"]) == reached

    stored_before = {name: value for name, value in raw.items() if name != "exact"}
    assert label(stored_before) == label(raw) == "raw, float32"

    page = write_vectors_report(measured, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "vectors.json",
        "vectors.md",
        "vectors.html",
        "vectors.png",
    }
    text = (tmp_path / "vectors.md").read_text(encoding="utf-8")
    assert "| balanced, float32, int8, rescored ×4 | 33 |" in text
    assert "| balanced 28/32, turbo8, no graph | 28 |" in text
    assert page.read_text(encoding="utf-8").count("<tr>") == 1 + len(rows)
