"""Whatever a folder holds, validation ends with one error or with data that can be read back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.data.judgements import read_judged
from rabtriever_core.data.profile import Profile
from rabtriever_core.data.validation import validate_dataset
from rabtriever_core.errors import DatasetError

NAMES = ("_id", "id", "doc_id", "query_id", "text", "contents", "query", "title", "metadata")
FURTHER = ("excluded_ids", "document_id", "label", "\u2028")
IDS = st.sampled_from(
    ["a", "b", "c d", "1", "", "\t", "\u2028", "é", "e\u0301", "\ud83d", "\ufeff"]
)
TEXTS = st.text(st.characters(), max_size=8) | IDS
PLAIN = st.none() | st.booleans() | st.integers(-2, 2**64) | st.floats() | TEXTS
VALUES = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(TEXTS, PLAIN, max_size=2)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(NAMES + FURTHER), VALUES, max_size=5)
    | st.fixed_dictionaries({"_id": IDS, "text": TEXTS}, optional={"excluded_ids": VALUES}),
    max_size=5,
)
LABELS = st.sampled_from(["1", "0", "1.0", "2", "", "x", "score", "1" * 30])
LINES = st.lists(
    st.tuples(IDS, IDS, LABELS).map("\t".join)
    | st.tuples(IDS, st.sampled_from(["0", "Q0", "x"]), IDS, LABELS).map(" ".join)
    | TEXTS,
    max_size=5,
)


def json_lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def written(raw: Path, tables: dict[str, list[Any]]) -> Path:
    (raw / "qrels").mkdir(parents=True)
    for file, rows in tables.items():
        text = "\n".join(rows).encode(errors="replace") if "qrels" in file else json_lines(rows)
        (raw / file).write_bytes(text)
    return raw


def check(home: Path, tables: dict[str, list[Any]]) -> None:
    raw = written(home / "raw", tables)
    try:
        outcome = validate_dataset(raw, home / "out", DatasetConfig(), ValidationConfig())
    except DatasetError as error:
        assert "line" in str(error), "malformed lines are named"
        return
    dataset = read_dataset(home / "out")
    assert len(dataset.documents) == outcome.rows_left["corpus.jsonl"]
    assert set(dataset.qrels) == {"train", "dev"}
    documents = {document.id for document in dataset.documents}
    for qrels in dataset.qrels.values():
        assert set(qrels) <= set(dataset.queries)
        assert {document for labels in qrels.values() for document in labels} <= documents
    assert {id_ for ids in dataset.excluded.values() for id_ in ids} <= documents
    assert (
        Profile.load(home / "out", "train").arrays.keys()
        == Profile.of(dataset, "train").arrays.keys()
    )
    lines = (home / "out" / "quarantine.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == sum(outcome.quarantined.values())
    assert all(json.loads(line)["reasons"] for line in lines)


TABLES = st.fixed_dictionaries(
    {"corpus.jsonl": ROWS, "queries.jsonl": ROWS, "qrels/train.tsv": LINES, "qrels/dev.tsv": LINES},
    optional={FEEDBACK: ROWS},
)


@settings(max_examples=5, deadline=None)
@given(TABLES)
def test_a_few(tables: dict[str, list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), tables)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(TABLES)
def test_many(tables: dict[str, list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), tables)


@settings(max_examples=100, deadline=None)
@given(TABLES)
def test_a_folder_to_be_asked_is_read_or_refused(tables: dict[str, list[Any]]) -> None:
    """`rabtriever eval` reads a folder that nobody validated."""
    with tempfile.TemporaryDirectory() as home:
        written(Path(home), tables)
        try:
            judged = read_judged(Path(home), "train")
        except DatasetError as error:
            assert home in str(error)
            return
        assert set(judged.qrels) == set(judged.queries)
        for query, text in judged.queries.items():
            assert text.strip()
            assert judged.right(query)
            assert not judged.left_out(query) & judged.right(query)
