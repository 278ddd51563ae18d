"""Validation: every rule broken once and named, and clean data left as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.data.validation import ValidationOutcome, validate_dataset
from rabtriever_core.workspace.artifacts import folder_md5s
from tests.core.data.authored import Rows, clean_rows, write

TOLERANT = ValidationConfig(max_quarantined_share=0.65, max_document_characters=60)


def messy_rows() -> tuple[Rows, Rows, dict[str, list[str]]]:
    documents, queries, qrels = clean_rows()
    documents += [
        {"text": "no id"},
        {"_id": 7.5, "text": "number"},
        {"_id": "d1", "text": "again"},
        {"_id": "blank", "title": " ", "text": "\t\u200b\ufeff"},
        {"_id": "nulled", "text": None},
        {"_id": "long", "text": "x" * 61},
        {"_id": "half", "text": "\ud83d"},
        {"_id": "titled", "title": "only a title", "text": ""},
        {"_id": "twin", "text": "Document  3"},
        {"_id": "faq\t7", "text": "a tab"},
        {"_id": "line\u2028end", "text": "a line end"},
        {"_id": "half \ud83d", "text": "an id"},
    ]
    queries += [
        {"_id": "", "text": "no id"},
        {"_id": "q1", "text": "again"},
        {"_id": "silent", "text": "  "},
        {"_id": "endless", "text": "x" * 20_001},
        {"_id": "leaking", "text": "QUESTION \n 24"},
        {"_id": "copy", "text": "question 0"},
        {"_id": "asked twice", "text": "question 25"},
        {"_id": "other answer", "text": "question 2"},
        {"_id": "<script>alert(1)</script>", "text": "markup"},
        {"_id": "picky", "text": "leaves d0 and d1 out", "excluded_ids": ["d0", "d1", "N/A"]},
        {"_id": "wrong", "text": "leaves out what is no list", "excluded_ids": "d0"},
    ]
    qrels["train"] += [
        "nobody\td0\t1",
        "q1\tnothing\t1",
        "q2\tblank\t1",
        "silent\td0\t1",
        "q3\td0\tyes",
        "q4\td1\t9",
        "q5\td1\t0",
        "leaking\td0\t1",
        "q25\td2\t1",
        "copy\td0\t1",
        "other answer\td3\t1",
        "<script>alert(1)</script>\t<script>alert(2)</script>\t1",
        "picky\td0\t1",
        "picky\td1\t0",
        "picky\td2\t1",
        "q6\tline\u2028end\t1",
    ]
    qrels["dev"] += ["q24\td0\t0", "asked twice\td1\t1"]
    qrels["test"].append("asked twice\td3\t1")
    return documents, queries, qrels


def validate(raw: Path, home: Path, config: ValidationConfig = TOLERANT) -> ValidationOutcome:
    return validate_dataset(raw, home / "out", DatasetConfig(), config)


def findings(home: Path) -> dict[str, dict[str, Any]]:
    records = json.loads((home / "out" / "validation.json").read_text(encoding="utf-8"))
    return {record["name"]: record for record in records}


def quarantine(home: Path) -> dict[str, list[str]]:
    lines = (home / "out" / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {f"{row['file']}:{row['line']}": row["reasons"] for row in rows}


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ValidationOutcome]:
    home = tmp_path_factory.mktemp("messy")
    return home, validate(write(home / "raw", *messy_rows()), home)


def test_every_broken_row_is_quarantined_with_its_reasons(
    messy: tuple[Path, ValidationOutcome],
) -> None:
    no_id = "no _id: it is missing, empty or not a string"
    no_text = "missing, blank or not a string"
    assert quarantine(messy[0]) == {
        "corpus.jsonl:5": [no_id],
        "corpus.jsonl:6": [no_id],
        "corpus.jsonl:7": ["duplicate _id 'd1': an earlier row has it"],
        "corpus.jsonl:8": [f"empty: title and text {no_text}"],
        "corpus.jsonl:9": [f"empty: title and text {no_text}"],
        "corpus.jsonl:10": ["too long: 61 characters, allowed are 60"],
        "corpus.jsonl:11": ["not valid Unicode: it holds half a surrogate pair"],
        "corpus.jsonl:14": ["_id 'faq\\t7' holds a tab, which parts columns or lines of qrels"],
        "corpus.jsonl:15": [
            "_id 'line\\u2028end' holds a line end (U+2028), which parts columns or lines of qrels"
        ],
        "corpus.jsonl:16": [
            "_id 'half \\ud83d' holds half a surrogate pair, which has no UTF-8",
            "not valid Unicode: it holds half a surrogate pair",
        ],
        "queries.jsonl:31": [no_id],
        "queries.jsonl:32": ["duplicate _id 'q1': an earlier row has it"],
        "queries.jsonl:33": [f"empty: text {no_text}"],
        "queries.jsonl:34": ["too long: 20001 characters, allowed are 20000"],
        "queries.jsonl:36": [
            "duplicate query: same text and labels as q0, and judged nowhere else"
        ],
        "qrels/train.tsv:26": ["dangling: query 'nobody' is not in queries.jsonl"],
        "qrels/train.tsv:27": ["dangling: document 'nothing' is not in corpus.jsonl"],
        "qrels/train.tsv:28": ["dangling: document 'blank' is quarantined"],
        "qrels/train.tsv:29": ["dangling: query 'silent' is quarantined"],
        "qrels/train.tsv:30": ["label 'yes' is not one of 0, 1, 2, 3"],
        "qrels/train.tsv:31": ["label '9' is not one of 0, 1, 2, 3"],
        "qrels/train.tsv:32": ["duplicate judgement: train judges 'q5' and 'd1' in an earlier row"],
        "qrels/train.tsv:33": ["leakage: same text as q24 in dev"],
        "qrels/train.tsv:34": ["leakage: same text as q25 in dev"],
        "qrels/train.tsv:35": ["duplicate query: same text and labels as q0 in train"],
        "qrels/train.tsv:37": [
            "dangling: document '<script>alert(2)</script>' is not in corpus.jsonl"
        ],
        "queries.jsonl:41": ["excluded_ids is no list of document ids"],
        "qrels/train.tsv:38": [
            "excluded_ids of query 'picky' has document 'd0', which is judged right here"
        ],
        "qrels/train.tsv:41": ["dangling: document 'line\\u2028end' is quarantined"],
        "qrels/dev.tsv:5": ["duplicate judgement: dev judges 'q24' and 'd0' in an earlier row"],
        "qrels/dev.tsv:6": ["duplicate query: same text and labels as q25 in dev"],
    }


def test_what_stays_is_readable_and_free_of_the_broken_rows(
    messy: tuple[Path, ValidationOutcome],
) -> None:
    home, outcome = messy
    dataset = read_dataset(home / "out")
    assert [d.id for d in dataset.documents] == ["d0", "d1", "d2", "d3", "titled", "twin"]
    assert {"leaking", "asked twice", "other answer"} <= set(dataset.queries)
    assert not {"copy", "silent", "endless", ""} & set(dataset.queries)
    assert set(dataset.qrels["train"]) == {f"q{n}" for n in range(24)} | {"other answer", "picky"}
    assert dataset.excluded == {"picky": ("d0", "d1")}
    assert dataset.left_out == {"picky": {"d0", "d1"}}
    assert outcome.passed
    assert outcome.rows_left["corpus.jsonl"] == 6
    assert outcome.quarantined == {
        "corpus.jsonl": 10,
        "queries.jsonl": 6,
        "qrels/dev.tsv": 2,
        "qrels/test.tsv": 0,
        "qrels/train.tsv": 13,
    }
    assert outcome.reasons["training_query_not_evaluated"] == 2


def test_what_is_legitimate_is_only_counted(messy: tuple[Path, ValidationOutcome]) -> None:
    found = findings(messy[0])
    expected = {
        "document_texts_differ": "corpus.jsonl:13: document 'twin' has the same text as 'd3'",
        "documents_relevant_somewhere": "corpus.jsonl:12: document 'titled' is relevant "
        "to no query",
        "query_texts_unambiguous": "queries.jsonl:38: query 'other answer' has the text of q2 in "
        "train and other labels",
        "evaluation_splits_apart": "queries.jsonl:26: the text of query 'q25' is judged in dev "
        "and test",
        "queries_judged": "queries.jsonl:35: query 'leaking' has no judgement",
    }
    assert {name: found[name]["examples"][0] for name in expected} == expected
    assert all(found[name]["severity"] == "warning" for name in expected)
    assert [warning.split(":")[0] for warning in messy[1].warnings] == [
        name for name in found if name in expected
    ]


def test_clean_data_passes_and_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    outcomes = [validate(raw, tmp_path / run, ValidationConfig()) for run in ("one", "two")]
    assert all(outcome.passed and not outcome.warnings for outcome in outcomes)
    assert (tmp_path / "one" / "out" / "quarantine.jsonl").read_bytes() == b""
    assert folder_md5s(tmp_path / "one" / "out") == folder_md5s(tmp_path / "two" / "out")
    assert str(tmp_path) not in (tmp_path / "one" / "out" / "validation.json").read_text()
    assert read_dataset(tmp_path / "one" / "out") == read_dataset(raw, "out")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["out"]


def test_metadata_survive_and_what_is_none_leaves_with_its_row(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    told = {"lang": "de", "tags": ["a", None, 2], "score": 0.1, "open": False, "ü.b": None}
    documents[0]["metadata"] = told
    documents[1]["metadata"] = None
    bad = [[1], {"<b>by</b>": {"name": "Ana"}}, {"lang": "\ud83d"}, {"score": float("nan")}]
    documents += [{"_id": f"b{n}", "text": f"b {n}", "metadata": m} for n, m in enumerate(bad)]
    home = tmp_path
    outcome = validate(write(home / "raw", documents, queries, qrels), home)
    kept = {d.id: d.metadata for d in read_dataset(home / "out").documents}
    assert kept == {"d0": told, "d1": {}, "d2": {}, "d3": {}}
    assert quarantine(home) == {
        "corpus.jsonl:5": ["metadata: it is a list, not an object of fields"],
        "corpus.jsonl:6": [
            "metadata: field '<b>by</b>' holds an object; values are strings, numbers, booleans, "
            "null, or lists of these"
        ],
        "corpus.jsonl:7": ["metadata: field 'lang' holds half a surrogate pair"],
        "corpus.jsonl:8": ["metadata: field 'score' holds nan, which is no JSON number"],
    }
    assert outcome.reasons == {"document_metadata": 4}
    lines = (home / "out" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    assert ["metadata" in json.loads(line) for line in lines] == [True, False, False, False]
