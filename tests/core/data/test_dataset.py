"""BEIR folders: what is written is read back, and what is malformed is named."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.dataset import Dataset, Document, read_dataset, write_dataset
from rabtriever_core.errors import DatasetError
from tests.core.data.authored import clean_rows, write

# Ids are columns of tab-separated lines, so they hold no tabs and line breaks.
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    documents = draw(st.dictionaries(IDS, st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
    queries = draw(st.dictionaries(IDS, TEXTS, min_size=1, max_size=4))
    labels = st.dictionaries(st.sampled_from(sorted(documents)), st.integers(0, 3), min_size=1)
    qrels = st.dictionaries(st.sampled_from(sorted(queries)), labels)
    splits = draw(st.dictionaries(st.sampled_from(["dev", "test", "train"]), qrels, min_size=1))
    return Dataset(
        "set",
        tuple(Document(id_, text, title) for id_, (text, title) in documents.items()),
        queries,
        splits,
    )


@settings(max_examples=60, deadline=None)
@given(datasets())
def test_what_is_written_is_read_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset, Path(folder))
        assert read_dataset(Path(folder), "set") == dataset


@settings(max_examples=30, deadline=None)
@given(datasets())
def test_fingerprint_ignores_order_and_notices_content(dataset: Dataset) -> None:
    shuffled = replace(
        dataset,
        documents=dataset.documents[::-1],
        queries=dict(reversed(dataset.queries.items())),
        qrels=dict(reversed(dataset.qrels.items())),
    )
    assert shuffled.fingerprint == dataset.fingerprint
    first = dataset.documents[0]
    changed = (replace(first, text=first.text + "!"), *dataset.documents[1:])
    assert replace(dataset, documents=changed).fingerprint != dataset.fingerprint


def test_splits_and_relevance(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    qrels["dev"] = ["q25\td1\t0", "q24\td0\t2", "q24\td1\t0"]
    dataset = read_dataset(write(tmp_path / "raw", documents, queries, qrels))
    assert dataset.split_queries("dev") == ["q24"]
    assert dataset.relevant("dev", "q24") == {"d0"}
    assert dataset.relevant("dev", "q25") == set()
    with pytest.raises(DatasetError, match="no split 'tuning'; it has dev, test, train"):
        dataset.split_queries("tuning")


@pytest.mark.parametrize(
    ("line", "problem"),
    [(b'{"_id": "d9"', "not valid JSON"), (b"[1]", "expected an object"), (b"\xff", "not UTF-8")],
)
def test_malformed_lines_are_named_by_file_and_line(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    with (raw / "corpus.jsonl").open("ab") as file:
        file.write(b"\n" + line + b"\n")
    with pytest.raises(DatasetError, match=rf"corpus\.jsonl, .*line \d: {problem}"):
        read_dataset(raw)


def test_qrels_without_three_columns_are_named_by_file_and_line(tmp_path: Path) -> None:
    documents, queries, qrels = clean_rows()
    qrels["dev"].append("q24 d0 1")
    raw = write(tmp_path / "raw", documents, queries, qrels)
    with pytest.raises(DatasetError, match=r"dev\.tsv, line 5: expected query-id"):
        read_dataset(raw)


def test_missing_folder_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder: .*nowhere"):
        read_dataset(tmp_path / "nowhere")
    raw = write(tmp_path / "raw", *clean_rows())
    (raw / "corpus.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"no file .*corpus\.jsonl"):
        read_dataset(raw)
    for path in (raw / "qrels").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="no qrels in"):
        read_dataset(raw)
