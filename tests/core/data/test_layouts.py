"""What other tools write in another layout is read where nothing is guessed, and said."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.data.judgements import read_judged
from rabtriever_core.data.layouts import label_text, qrels_columns, stated
from rabtriever_core.data.validation import ValidationOutcome, validate_dataset
from rabtriever_core.errors import DatasetError
from tests.core.data.authored import clean_rows, write


def validated(raw: Path, home: Path) -> tuple[ValidationOutcome, Dataset]:
    outcome = validate_dataset(raw, home / "out", DatasetConfig(), ValidationConfig())
    return outcome, read_dataset(home / "out", "set")


def foreign(folder: Path) -> Path:
    """The clean rows with whole numbers as ids and other names, TREC's qrels, no header."""
    documents, queries, qrels = clean_rows()
    names = ("id", "doc_id", "docid", "_id")
    texts = ("content", "contents", "passage", "text")
    corpus = [
        {name: n, text: row["text"]}
        for n, (row, name, text) in enumerate(zip(documents, names, texts, strict=True))
    ]
    asked = [{"query_id": row["_id"], "query": row["text"]} for row in queries]
    write(folder, corpus, asked, {})
    for split, rows in qrels.items():
        judged = [row.replace("\td", "\t").split("\t") for row in rows]
        lines = {
            "train": [f"{q} 0 {d} {label}\r\n" for q, d, label in judged],
            "dev": [f"{q}\tQ0\t{d}\t{label}\n" for q, d, label in judged],
            "test": [f"{q}\t{d}\t{label}.0\n" for q, d, label in judged],
        }[split]
        (folder / "qrels" / f"{split}.tsv").write_bytes("".join(lines).encode("utf-8-sig"))
    return folder


def test_another_layout_is_read_as_beirs(tmp_path: Path) -> None:
    outcome, dataset = validated(foreign(tmp_path / "foreign"), tmp_path / "a")
    documents, queries, qrels = clean_rows()
    renamed = [row | {"_id": row["_id"][1:]} for row in documents]
    rows = {split: [row.replace("\td", "\t") for row in rows] for split, rows in qrels.items()}
    _, expected = validated(write(tmp_path / "beir", renamed, queries, rows), tmp_path / "b")
    assert dataset == expected
    assert outcome.passed
    assert not any(outcome.quarantined.values())
    assert set(outcome.read_as) == {
        "corpus.jsonl: _id is a whole number (4 times)",
        *(f"corpus.jsonl: {name} stands for _id (once)" for name in ("id", "doc_id", "docid")),
        *(
            f"corpus.jsonl: {name} stands for text (once)"
            for name in ("content", "contents", "passage")
        ),
        "queries.jsonl: query_id stands for _id (30 times)",
        "queries.jsonl: query stands for text (30 times)",
        "qrels/train.tsv: TREC's four columns (24 times)",
        "qrels/dev.tsv: TREC's four columns (3 times)",
        "qrels/test.tsv: scores are written as decimals, such as 1.0 (3 times)",
        *(f"qrels/{split}.tsv: there is no header line (once)" for split in qrels),
    }
    assert outcome.warnings == (f"rows_written_as_beir: {len(outcome.read_as)} of "
                                f"{len(outcome.read_as)} rows in reading",)  # fmt: skip
    found = json.loads((tmp_path / "a" / "out" / "validation.json").read_text("utf-8"))
    (rule,) = (rule for rule in found if rule["name"] == "rows_written_as_beir")
    said = "corpus.jsonl: _id is a whole number (4 times): read as BEIR would have it"
    assert rule["examples"][0] == said


def test_eval_reads_it_too(tmp_path: Path) -> None:
    judged = read_judged(foreign(tmp_path / "foreign"), "train")
    assert len(judged.queries) == 24
    assert judged.qrels["q5"] == {"1": 1}
    assert read_judged(tmp_path / "foreign", "test").qrels["q27"] == {"3": 1}


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"_id": "a", "id": "b"}, "a"),
        ({"id": "b"}, "b"),
        ({"_id": None, "id": "b"}, "b"),
        ({"id": "b", "doc_id": "b"}, "b"),
        ({"id": "b", "doc_id": "c"}, None),
        ({"ID": "b"}, None),
    ],
)
def test_a_field_of_two_values_is_not_read(row: dict[str, Any], value: object) -> None:
    assert stated(row, ("_id", "id", "doc_id"), Counter()) == value


@pytest.mark.parametrize(
    ("written", "label"),
    [
        *(("1", "1"), ("1.0", "1"), (" 2 ", "2"), ("3.", "3"), ("+1", "1"), ("01", "1")),
        *(("0.5", "0.5"), ("1e0", "1e0"), ("yes", "yes"), ("", ""), ("１", "１")),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_labels(written: str, label: str) -> None:
    assert label_text(written, Counter()) == label


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("q\td\t1", ["q", "d", "1"]),
        ("q 0 d 1", ["q", "d", "1"]),
        ("q\t0\td\t1", ["q", "d", "1"]),
        ("a query\t0\tdocument 0 1\t1", ["a query", "document 0 1", "1"]),
        ("q d 1", ["q d 1"]),
        ("q\t7\td\t1", ["q", "7", "d", "1"]),
        ("q 7 d 1", ["q 7 d 1"]),
    ],
)
def test_columns(line: str, columns: list[str]) -> None:
    assert qrels_columns(line, Counter()) == columns


@pytest.mark.parametrize("name", ["Score", "rel", "relevance", "LABEL"])
def test_a_header_by_any_of_its_names_is_no_judgement(tmp_path: Path, name: str) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    path = raw / "qrels" / "dev.tsv"
    path.write_text("\n" + path.read_text().replace("score", name))
    outcome, _ = validated(raw, tmp_path)
    assert outcome.rows["qrels/dev.tsv"] == 3
    assert not outcome.read_as


@pytest.mark.parametrize(
    ("row", "value"), [('{"_id": ' + "9" * 5000 + "}", "limit"), ("[" * 100_000, "recursion")]
)
def test_a_row_that_python_cannot_hold_is_named(tmp_path: Path, row: str, value: str) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    (raw / "corpus.jsonl").write_text(row + "\n")
    with pytest.raises(DatasetError, match=rf"corpus\.jsonl, line 1: cannot be read \(.*{value}"):
        validated(raw, tmp_path)


def test_what_macos_leaves_behind_is_no_data(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    expected = validated(raw, tmp_path / "before")[1]
    for name in ("._corpus.jsonl", ".DS_Store", "qrels/._train.tsv", "qrels/.DS_Store"):
        (raw / name).write_bytes(b"\x00\x05\x16\x07\xff\xfe")
    assert validated(raw, tmp_path / "after")[1] == expected
