"""Two runs side by side: numbers, refusals, and texts that stay texts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.errors import ArtifactError, ConfigError
from rabtriever_core.evaluation.comparison import compare
from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.results import Results
from rabtriever_core.report.comparison import terminal, write_page
from tests.core.evaluation.reports import DATASET, made_runs, ranked, write

Pair = tuple[Results, Results]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """B's student finds q00 first instead of beyond rank ten, and loses two places on q01."""
    before, after = made_runs(1), made_runs(1)
    for runs, ranks in ((before, (12, 1)), (after, (1, 3))):
        student = runs["test"]["student"]
        student["q00"], student["q01"] = ranked(ranks[0], "d00"), ranked(ranks[1], "d01")
    return write(tmp_path / "a", before), write(tmp_path / "b", after)


def test_won_and_lost(pair: Pair) -> None:
    result = compare(*pair, permutations=200)
    assert [(row["query"], row["outcome"]) for row in result["queries"]] == [
        ("q00", "won"),
        ("q01", "lost"),
    ]
    won, lost = result["queries"]
    assert won["text"] == DATASET.queries["q00"]
    assert won["right"] == [{"id": "d00", "title": "text 0", "rank_a": None, "rank_b": 1}]
    assert (won["a"], won["b"]) == (0.0, 1.0)
    # Both right documents of q01, each with its own ranks.
    assert [(r["id"], r["rank_a"], r["rank_b"]) for r in lost["right"]] == [
        ("d01", 1, 3),
        ("d02", 3, 2),
    ]
    assert result["level"] == {"test": {"student": 14}, "test_2": {"student": 8}}


def test_metrics_and_their_tests(pair: Pair) -> None:
    rows = compare(*pair, permutations=200)["metrics"]
    assert [(row["split"], row["metric"]) for row in rows] == [
        (split, metric) for split in ("test", "test_2") for metric in METRICS
    ]
    for row in rows:
        stated = [
            results.benchmark["splits"][row["split"]]["systems"]["student"]["metrics"]
            for results in pair
        ]
        assert row["a"] == pytest.approx(stated[0][row["metric"]], abs=1e-6)
        assert row["b"] == pytest.approx(stated[1][row["metric"]], abs=1e-6)
        assert row["difference"] == pytest.approx(row["b"] - row["a"])
        assert row["interval"][0] <= row["difference"] <= row["interval"][1]
        assert row["p_value"] <= row["p_value_holm"] <= 1
    unchanged = [row for row in rows if row["split"] == "test_2"]
    assert all(row["p_value"] == 1 and row["difference"] == 0 for row in unchanged)
    assert all(row["interval"][0] < 0 < row["interval"][1] for row in unchanged)


def test_the_other_way_round_everything_is_mirrored(pair: Pair) -> None:
    there, back = compare(*pair, permutations=200), compare(*reversed(pair), permutations=200)
    for one, other in zip(there["metrics"], back["metrics"], strict=True):
        assert one["difference"] == -other["difference"]
        assert one["p_value"] == pytest.approx(other["p_value"], abs=0.1)
    outcomes = [
        {row["query"]: row["outcome"] for row in result["queries"]} for result in (there, back)
    ]
    assert outcomes == [{"q00": "won", "q01": "lost"}, {"q00": "lost", "q01": "won"}]


def test_a_run_with_itself_is_level(pair: Pair) -> None:
    result = compare(pair[0], pair[0], system="all", permutations=100)
    assert not result["queries"]
    assert {row["difference"] for row in result["metrics"]} == {0.0}
    assert set(result["level"]["test"].values()) == {16}


def test_choices(pair: Pair) -> None:
    only = compare(*pair, system="bm25", split="test_2", metric="R@3", permutations=100)
    assert [(r["split"], r["system"], r["metric"]) for r in only["metrics"]] == [
        ("test_2", "bm25", "R@3")
    ]
    by_recall = compare(*pair, split="test", metric="R@10", permutations=100)
    assert [row["query"] for row in by_recall["queries"]] == ["q00"], "q01 stays in the top ten"
    for choice, shared in (
        ({"system": "none"}, "bm25, bi_encoder, teacher, student"),
        ({"split": "all"}, "test, test_2"),
        ({"metric": "MRR"}, "R@1"),
    ):
        with pytest.raises(ConfigError, match=shared):
            compare(*pair, **choice)


def test_other_data_is_refused(pair: Pair, tmp_path: Path) -> None:
    more = replace(DATASET, queries=DATASET.queries | {"q99": "one more"})
    other = write(tmp_path / "other", made_runs(1), more)
    with pytest.raises(ArtifactError, match=r"different data: 'small'.*only runs on the same"):
        compare(pair[0], other)


def test_other_queries_are_refused(pair: Pair, tmp_path: Path) -> None:
    fewer = made_runs(1)
    for run in fewer["test"].values():
        del run["q03"]
    other = write(tmp_path / "other", fewer)
    with pytest.raises(ArtifactError, match=r"16 and 15, differing in \['q03'\].*max_queries"):
        compare(pair[0], other)
    assert compare(pair[0], other, split="test_2", permutations=100)["metrics"]


def test_other_splits_are_refused_unless_one_is_chosen(pair: Pair, tmp_path: Path) -> None:
    runs = made_runs(1)
    del runs["test_2"]
    other = write(tmp_path / "other", runs)
    with pytest.raises(ArtifactError, match="choose one that both have with --split"):
        compare(pair[0], other)
    assert compare(pair[0], other, split="test", permutations=100)["metrics"]


def _printed(result: dict[str, Any], width: int) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(*terminal(result, 5))
    return capture.get()


@pytest.mark.parametrize("width", [80, 140])
def test_terminal_shows_ranks_and_passes_no_markup_on(pair: Pair, width: int) -> None:
    text = _printed(compare(*pair, permutations=200), width)
    assert ">10" in text
    assert "Won by B: 1 query of test, Student" in text
    assert "[bold" in text, "markup of a query is shown as it is"
    assert "\x1b[31m" not in text
    assert "level queries of test: Student 14" in text
    assert max(map(len, text.splitlines())) <= width


def test_page_escapes_and_shows_ranks(pair: Pair, tmp_path: Path) -> None:
    result = compare(*pair, permutations=200)
    write_page(result, tmp_path / "new" / "page.html", 5)
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "rank &gt;10 → 1" in page
    assert page.count("<tr") == 1 + 2 * len(METRICS)
    assert "http" not in page
    assert page.count("<article") == 2
    write_page(result, tmp_path / "none.html", 0)
    assert "<article" not in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_command(pair: Pair, tmp_path: Path) -> None:
    folders = [str(results.folder) for results in pair]
    page = tmp_path / "page.html"
    shown = CliRunner().invoke(app, ["compare", *folders, "--html", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "B − A" in shown.output
    assert page.is_file()
    plain = CliRunner().invoke(app, ["compare", *folders, "--json", "--metric", "MRR@10"])
    content = json.loads(plain.output)
    assert len(content["queries"]) == 2
    assert np.sign(content["metrics"][0]["difference"]) == 1
    refused = CliRunner().invoke(app, ["compare", folders[0], str(tmp_path / "none")])
    assert refused.exit_code == 2
    assert "benchmark.json" in refused.stderr
