"""BEIR folders: what is written is read back, and what is malformed is named."""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.dataset import Dataset, Document, read_dataset, write_dataset
from rabtriever_core.data.demo import write_demo
from rabtriever_core.data.ids import id_problem
from rabtriever_core.data.metadata import canonical, metadata_problem
from rabtriever_core.errors import DatasetError
from rabtriever_core.index.reuse import text_hash
from tests.core.data.authored import clean_rows, write

# All of Unicode; ids that qrels cannot hold are refused, everything else is read back.
ANY_IDS = st.text(st.characters(), min_size=1, max_size=6)
IDS = ANY_IDS.filter(lambda id_: not id_problem(id_))
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SEPARATORS = "\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
METADATA = st.dictionaries(TEXTS, SCALARS | NUMBERS | st.lists(SCALARS, max_size=3), max_size=3)
DEMO_FINGERPRINT = "66f28293b861a7c2f47f597c325d7a956830211bad4206dca2445aad9521321c"
DEMO_CORPUS = "4137af388a3483f0bb720be4ba0d226285b62be9b6e15175b9c53e7281420369"


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    fields = st.tuples(TEXTS, TEXTS, METADATA)
    documents = draw(st.dictionaries(IDS, fields, min_size=1, max_size=4))
    queries = draw(st.dictionaries(IDS, TEXTS, min_size=1, max_size=4))
    labels = st.dictionaries(st.sampled_from(sorted(documents)), st.integers(0, 3), min_size=1)
    qrels = st.dictionaries(st.sampled_from(sorted(queries)), labels)
    splits = draw(st.dictionaries(st.sampled_from(["dev", "test", "train"]), qrels, min_size=1))
    left_out = st.lists(st.sampled_from(sorted(documents)), min_size=1, unique=True).map(tuple)
    excluded = draw(st.dictionaries(st.sampled_from(sorted(queries)), left_out))
    return Dataset(
        "set",
        tuple(Document(id_, *fields) for id_, fields in documents.items()),
        queries,
        splits,
        excluded,
    )


@settings(max_examples=60, deadline=None)
@given(datasets())
def test_what_is_written_is_read_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset, Path(folder))
        assert read_dataset(Path(folder), "set") == dataset


@settings(max_examples=200, deadline=None)
@given(ANY_IDS | st.sampled_from([f"a{c}b" for c in SEPARATORS]), st.booleans())
def test_an_id_is_refused_or_read_back(id_: str, of_query: bool) -> None:
    document, query = ("d", id_) if of_query else (id_, "q")
    written = Dataset(
        "set", (Document(document, "x"),), {query: "y"}, {"dev": {query: {document: 1}}}
    )
    with tempfile.TemporaryDirectory() as folder:
        if id_problem(id_):
            with pytest.raises(DatasetError, match=r"give it another id"):
                write_dataset(written, Path(folder))
            assert not any(Path(folder).iterdir()), "nothing is written"
        else:
            write_dataset(written, Path(folder))
            assert read_dataset(Path(folder), "set") == written


@pytest.mark.parametrize("character", SEPARATORS)
def test_every_line_end_and_tab_is_a_problem_of_an_id(character: str) -> None:
    assert id_problem(f"faq{character}7")
    assert len(f"faq{character}7".splitlines()) == (1 if character == "\t" else 2)


def test_own_and_excluded_documents_are_left_out_unless_they_are_right() -> None:
    dataset = Dataset(
        "set",
        tuple(Document(id_, id_) for id_ in "abcd"),
        {"a": "own", "b": "own and right", "q": "excluding", "r": "nothing"},
        {"dev": {"a": {"c": 1, "a": 0}, "q": {"d": 1}}, "test": {"b": {"b": 2}, "r": {"a": 1}}},
        {"q": ("c", "d", "elsewhere")},
    )
    assert dataset.left_out == {"a": {"a"}, "q": {"c"}}


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
    query = next(iter(dataset.queries))
    more = dataset.excluded | {query: (*dataset.excluded.get(query, ()), "another")}
    assert replace(dataset, excluded=more).fingerprint != dataset.fingerprint


@settings(max_examples=30, deadline=None)
@given(datasets(), METADATA)
def test_metadata_count_where_there_are_any(dataset: Dataset, metadata: dict[str, Any]) -> None:
    first, *rest = dataset.documents
    reordered = replace(first, metadata=dict(reversed(first.metadata.items())))
    assert replace(dataset, documents=(reordered, *rest)).fingerprint == dataset.fingerprint
    told = replace(first, metadata=metadata)
    assert hash(told) == hash(first)
    assert text_hash(told) == text_hash(first), "nothing is embedded again"
    fingerprint = replace(dataset, documents=(told, *rest)).fingerprint
    assert (fingerprint == dataset.fingerprint) == (
        canonical(metadata) == canonical(first.metadata)
    )


def test_a_set_without_metadata_is_what_it_was(tmp_path: Path) -> None:
    """Bytes and fingerprint as they were before documents could have metadata."""
    write_demo(tmp_path / "demo")
    dataset = read_dataset(tmp_path / "demo")
    write_dataset(dataset, tmp_path / "again")
    assert dataset.fingerprint == DEMO_FINGERPRINT
    corpus = (tmp_path / "again" / "corpus.jsonl").read_bytes()
    assert hashlib.sha256(corpus).hexdigest() == DEMO_CORPUS


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ([], "it is a list, not an object of fields"),
        ("de", "it is 'de', not an object of fields"),
        ({"by": {"name": "Ana"}}, "field 'by' holds an object; values are strings"),
        ({"by": ["Ana", ["Bo"]]}, "field 'by' holds a list with a list; values are strings"),
        ({"score": float("nan")}, "field 'score' holds nan, which is no JSON number"),
        ({"score": [1, float("inf")]}, "field 'score' holds a list with inf, which is no"),
        ({"number": 2**63}, "field 'number' holds a whole number of more than 64 bits"),
        ({"lang": "\ud83d"}, "field 'lang' holds half a surrogate pair"),
        ({"\ud83d": 1}, "the name of field '\\ud83d' holds half a surrogate pair"),
    ],
)
def test_metadata_that_cannot_be_used_are_named(
    tmp_path: Path, metadata: object, problem: str
) -> None:
    assert metadata_problem(metadata).startswith(problem)
    documents, queries, qrels = clean_rows()
    documents[2]["metadata"] = metadata
    raw = write(tmp_path / "raw", documents, queries, qrels)
    with pytest.raises(DatasetError, match=re.escape(f"corpus.jsonl, line 3: metadata: {problem}")):
        read_dataset(raw)


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
