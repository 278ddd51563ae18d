"""Throughput of a shape: counted against what torch itself counts, and refused where too long."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.lab.measurements import throughput
from rabtriever_core.lab.measurements.throughput import Workload, measure
from tests.core.small import small_backbone, small_dataset

BACKBONE = small_backbone(small_dataset())
LOAD = Workload(document_tokens=24, query_tokens=6, documents=3, queries=4, seconds=0.05)


def test_rows_hold_together() -> None:
    peak, *rows = measure(BACKBONE, LOAD, seed=1)
    assert [("pairs_per_second" in row) for row in rows] == [False, True, True]
    for row in rows:
        assert row["share_of_peak"] == pytest.approx(row["tflops"] / peak["tflops"])
    scoring = rows[1]
    assert LOAD.pair_tokens == 3 * 24 + 12 * 6
    ratio = scoring["tokens_per_second"] / scoring["pairs_per_second"]
    assert ratio == pytest.approx(LOAD.pair_tokens / LOAD.pairs)


def test_flops_are_those_that_torch_counts() -> None:
    documents = np.random.default_rng(0).integers(99, size=(5, 20)).tolist()
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), torch.inference_mode(), counter:
        BACKBONE.last_states(documents)
    # Half of a full attention matrix is masked; torch counts all of it.
    expected = throughput._flops(BACKBONE, 100, 20)
    assert expected == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_the_command_writes_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(throughput._PEAK_SIDE, "cpu", 64)
    shape = ["--set", "backbone.tiny.hidden_size=16", "--set", "runtime.device=cpu"]
    command = ["lab", "measure-throughput", "--name", "a shape", "--seconds", "0.1", *shape]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    measured = json.loads((tmp_path / "measurements/throughput.json").read_text())
    assert measured["title"] == "Throughput: a shape"
    assert len(measured["rows"]) == 4
    assert "of the peak" in result.output
    long = CliRunner().invoke(app, [*command, "--document-tokens", "4000"])
    assert long.exit_code != 0
    assert "--document-tokens" in long.output
    two = CliRunner().invoke(app, [*command, "--set", "runtime.precision=mixed"])
    assert two.exit_code != 0
    assert "peaks of their own" in " ".join(two.output.split())
