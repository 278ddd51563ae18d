"""The cached path is timed against the whole sequences, and held to their margins."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.errors import ConfigError, ModelError
from rabtriever_core.lab.measurements.prefix_cache import CACHED, Reading, measure
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.prompt import Prompt
from rabtriever_core.models.reranker import GenerativeReranker
from tests.core.small import small_backbone, small_dataset

READING = Reading(document_tokens=64, queries=5, query_tokens=6, repeats=3)
TEACHER = GenerativeReranker(small_backbone(small_dataset()))


def test_every_way_gives_the_same_margins() -> None:
    rows = measure(TEACHER, READING, seed=1)
    assert rows[0]["way"] == CACHED
    assert len({row["way"] for row in rows}) == 3
    assert rows[0]["ratio"] == rows[0]["highest_ratio"] == 1
    for row in rows:
        assert 0 < row["fastest_ms"] <= row["median_ms"] <= row["slowest_ms"]
        assert row["lowest_ratio"] <= row["ratio"] <= row["highest_ratio"]
        assert row["largest_difference"] < 1e-5 < row["largest_margin"]


def test_different_margins_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TEACHER.pair_states

    def stale(*arguments: object) -> tuple[torch.Tensor, list[torch.Tensor]]:
        states, e_d = whole(*arguments)
        return states + 0.1 * TEACHER.direction().sign(), e_d

    monkeypatch.setattr(TEACHER, "pair_states", stale)
    with pytest.raises(ModelError, match=r"whole sequences, one by one differ.*rounding"):
        measure(TEACHER, READING, seed=1)


@pytest.mark.parametrize("reading", [Reading(1), Reading(4096)])
def test_what_does_not_fit_is_an_error(reading: Reading) -> None:
    with pytest.raises(ConfigError, match=r"--document-tokens"):
        measure(TEACHER, reading, seed=1)


def test_a_prompt_with_the_query_first_has_no_cache_to_measure() -> None:
    prompt = TEACHER.backbone.prompt
    turned = Prompt(replace(prompt.spec, document_first=False), prompt.tokenizer)
    with pytest.raises(ConfigError, match=r"query first.*prompt\.template"):
        measure(GenerativeReranker(Backbone(TEACHER.backbone.model, turned)), READING, seed=1)


def test_the_command_writes_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = ["--document-tokens", "64", "--queries", "4", "--query-tokens", "6", "--repeats", "2"]
    result = CliRunner().invoke(app, ["lab", "measure-cache", *sizes])
    assert result.exit_code == 0, result.output
    measured = json.loads((tmp_path / "measurements/prefix_cache.json").read_text())
    assert measured.keys() == {"title", "command", "machine", "rows"}
    assert measured["command"] == " ".join(["rabtriever lab measure-cache", *sizes])
    assert f"{measured['rows'][1]['ratio']:.1f} × cached" in result.output
    assert "times faster" in result.output
