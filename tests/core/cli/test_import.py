"""`rabtriever import`: what it prints and writes, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.data.dataset import read_dataset
from tests.core.data.importers.support import write_csv

Import = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, code: int = 0, command: str = "import") -> str:
        result = CliRunner().invoke(app, [command, *arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result.output if code else result.stdout

    write_csv(tmp_path / "questions.csv")
    return invoke


def test_it_says_what_it_read_and_what_comes_next(run: Import) -> None:
    said = run("questions.csv", "support", "--metadata", "asked")
    assert "queries: column 'question'" in said
    assert "the rows hold 200 documents, 20 different ones" in said
    assert "splits made by query" in said
    assert "support: 20 documents" in said
    assert "\n  query  " in said and "\n  right  Change your plan: Open Plans" in said
    assert "left out" not in said
    assert said.endswith("next: rabtriever init my-work --data support\n")
    dataset = read_dataset(Path("support"))
    sizes = {split: len(qrels) for split, qrels in dataset.qrels.items()}
    assert sum(sizes.values()) == len(dataset.queries) == 200
    assert sizes["train"] > 150 and min(sizes.values()) >= 10
    assert dataset.documents[0].title == "Change your plan"
    assert dataset.documents[0].metadata == {"asked": "2026-01-01"}


def test_the_same_again_is_the_same(run: Import, tmp_path: Path) -> None:
    run("questions.csv", "support")
    write_csv(tmp_path / "again.csv", separator=";", encoding="utf-16")
    run("again.csv", "again")
    first, second = (read_dataset(Path(name), "support") for name in ("support", "again"))
    assert first.fingerprint == second.fingerprint


def test_json_has_everything_that_was_left_out(run: Import, tmp_path: Path) -> None:
    with (tmp_path / "questions.csv").open("a", encoding="utf-8") as file:
        file.write("why,,,2026\n" + "".join(f"{n},x,y\n" for n in range(9)))
    said = run("questions.csv", "support")
    assert "left out: 10" in said
    assert "questions.csv, row 203 and 8 more: 3 columns where the first row has 4" in said
    record: dict[str, Any] = json.loads(run("questions.csv", "other", "--json"))
    assert [one["place"] for one in record["left_out"]][-1] == "questions.csv, row 202"
    assert len(record["left_out"]) == 10
    assert record["documents"] == 20
    assert record["splits"]["train"]["wrong"] == 0


def test_few_queries_are_said_to_be_few(run: Import, tmp_path: Path) -> None:
    text = "query,document\n" + "".join(f"q{n},d{n % 2}\n" for n in range(9))
    (tmp_path / "few.csv").write_text(text, encoding="utf-8")
    assert "7 training queries have a right document: the pipeline stops below 20" in run(
        "few.csv", "few"
    )


def test_nothing_is_overwritten_unasked(run: Import, tmp_path: Path) -> None:
    run("questions.csv", "support", "--answers", "asked")
    assert "--force" in run("questions.csv", "support", code=2)
    kept = tmp_path / "support" / "feedback.jsonl"
    kept.write_text("{}\n", encoding="utf-8")
    assert (tmp_path / "support" / "answers.jsonl").is_file()
    run("questions.csv", "support", "--force", "--shares", "90/10/0")
    assert kept.is_file()
    assert sorted(path.name for path in (tmp_path / "support").rglob("*.*")) == [
        "corpus.jsonl", "dev.tsv", "feedback.jsonl", "queries.jsonl", "train.tsv"
    ]  # fmt: skip
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    for target, says in {
        "photos": "no data set: name a new folder",
        "questions.csv": "is a file",
        "two words": "letters, digits, dots and dashes",
    }.items():
        assert says in run("questions.csv", target, "--force", code=2)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("shares", ["80", "80/10", "80/10/20", "0/50/50", "a/b/c", "110/-5/-5"])
def test_shares_make_a_hundred(run: Import, shares: str) -> None:
    assert f"--shares {shares}: expected percent" in run(
        "questions.csv", "support", "--shares", shares, code=2
    )


def test_init_with_a_file_says_what_to_run(run: Import) -> None:
    said = run("work", "--data", "questions.csv", code=2, command="init")
    assert "`rabtriever import" in said and "questions.csv questions`" in said
    assert not Path("work").exists()
