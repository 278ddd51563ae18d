"""Every form of a query tower is timed, and held to the same documents and queries."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.lab.measurements import query_towers
from rabtriever_core.releases import store
from tests.core.integrations.released import release_small
from tests.core.releases.conftest import quick_dvc

pytest.importorskip("onnxruntime")


def test_the_command_measures_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "run_dvc", quick_dvc)
    monkeypatch.setattr(query_towers, "_TIMED", 4)
    work = release_small(tmp_path / "work")
    result = CliRunner().invoke(app, ["lab", "measure-towers", str(work.root), "--threads", "1"])
    assert result.exit_code == 0, result.output
    measured = json.loads((work.measurements / "query_towers.json").read_text())
    assert "1 threads; load average" in measured["note"]
    assert measured["command"] == "rabtriever lab measure-towers work --threads 1"
    assert (work.measurements / "query_towers.png").stat().st_size > 1000
    torch, float32, int8 = measured["rows"]
    assert [row["tower"] for row in measured["rows"]] == [
        "torch float32", "ONNX float32", "ONNX int8",
    ]  # fmt: skip
    for row in measured["rows"]:
        assert row["tower"] in result.output
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert 0 < row["MRR@10 test"] <= 1
        shares = [row[name] / torch[name] for name in row if name.startswith("MRR@10")]
        assert row["share_kept"] == pytest.approx(min(shares))
    assert torch["share_kept"] == torch["top10_agreement"] == 1
    assert float32["MRR@10 test"] == pytest.approx(torch["MRR@10 test"])
    assert float32["top10_agreement"] == 1
    assert int8["megabytes"] < float32["megabytes"]
