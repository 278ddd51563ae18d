"""Rows with pairs, in every layout that people and libraries write."""

import json
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.data.importers.assembly import Imported, assemble
from rabtriever_core.data.importers.columns import Said
from rabtriever_core.data.importers.sources import read_source
from rabtriever_core.errors import DatasetError

ROWS = [f"q{n}" for n in range(6)]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def imported(source: str, by: str | None = None, /, **said: Any) -> Imported:
    options = {name: said.pop(name) for name in ("corpus", "layout", "subset") if name in said}
    return assemble(read_source(source, Said(**said), **options), "set", by=by)


def judged(found: Imported) -> dict[str, dict[str, int]]:
    """Query → document → label, by their texts."""
    texts = {document.id: document.full_text for document in found.dataset.documents}
    return {
        found.dataset.queries[query]: {texts[id_]: label for id_, label in labels.items()}
        for qrels in found.dataset.qrels.values()
        for query, labels in qrels.items()
    }


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda q: {"anchor": q, "positive": f"{q}!", "negative": "no"}, id="triplet"),
        pytest.param(
            lambda q: {"anchor": q, "positive": f"{q}!", "negative_1": "no", "negative_2": None},
            id="n-tuple",
        ),
        pytest.param(
            lambda q: {
                "query": q,
                "pos": [f"{q}!"],
                "neg": ["no"],
                "prompt": "p",
                "pos_scores": [],
            },
            id="FlagEmbedding",
        ),
        pytest.param(
            lambda q: {
                "query_id": q,
                "query": q,
                "positive_passages": [{"docid": f"d{q}", "title": q, "text": f"{q}!"}],
                "negative_passages": [{"docid": "n", "title": "", "text": "no"}],
            },
            id="Tevatron",
        ),
    ],
)
def test_known_layouts(tmp_path: Path, make: Any) -> None:
    found = imported(jsonl(tmp_path / "t.jsonl", [make(q) for q in ROWS]))
    for query, labels in judged(found).items():
        assert labels.pop("no") == 0
        assert list(labels.values()) == [1]
        assert next(iter(labels)).endswith(f"{query}!")
    assert len(judged(found)) == len(ROWS)
    assert not found.left_out


def test_ids_of_the_source_are_kept(tmp_path: Path) -> None:
    rows = [
        {"query_id": f"x{q}", "query": q, "positive_passages": [{"docid": 7, "text": "seven"}]}
        for q in ROWS
    ]
    found = imported(jsonl(tmp_path / "t.jsonl", rows))
    assert set(found.dataset.queries) == {f"x{q}" for q in ROWS}
    assert [document.id for document in found.dataset.documents] == ["7"]


def test_label_pairs(tmp_path: Path) -> None:
    rows = [{"sentence1": q, "sentence2": "same", "label": n % 2} for n, q in enumerate(ROWS)]
    rows += [{"sentence1": "odd", "sentence2": "x", "label": label} for label in (0.5, 7, None)]
    found = imported(jsonl(tmp_path / "t.jsonl", rows))
    assert judged(found) == {q: {"same": n % 2} for n, q in enumerate(ROWS)}
    assert [one.place for one in found.left_out] == [f"t.jsonl, line {n}" for n in (7, 8, 9)]
    assert "column 'label' holds '0.5', and labels are 0, 1, 2, 3" in found.left_out[0].reason


def test_scores_of_similarity_are_no_labels(tmp_path: Path) -> None:
    rows = [{"query": q, "document": f"{q}!", "score": 0.25} for q in ROWS]
    found = imported(jsonl(tmp_path / "t.jsonl", rows))
    assert {label for labels in judged(found).values() for label in labels.values()} == {1}
    assert "not used: 'score'" in found.notes


def test_named_columns_ids_titles_metadata_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["Frage;Antwort;nr;Titel;jahr;plz;ok"]
    lines += [f"{q};Text {n % 2};{n % 2};T{n % 2};2024;0{n % 2};ja" for n, q in enumerate(ROWS)]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = imported(
        str(path), query="Frage", positive=("Antwort",), id="nr", title="Titel",
        metadata=("jahr", "plz"), answers="ok",
    )  # fmt: skip
    first = found.dataset.documents[0]
    assert (first.id, first.title, first.text) == ("0", "T0", "Text 0")
    assert first.metadata == {"jahr": 2024, "plz": "00"}
    assert set(found.answers.values()) == {("ja",)}
    assert set(found.answers) == set(found.dataset.queries)


def test_several_positives_and_repeated_queries(tmp_path: Path) -> None:
    rows = [
        *({"query": q, "document": ["a", "b"]} for q in ROWS),
        {"query": "Q0 ", "document": "A"},
        {"query": "q0", "document": "c"},
    ]
    found = imported(jsonl(tmp_path / "t.jsonl", rows))
    assert judged(found)["q0"] == {"a": 1, "b": 1, "c": 1}
    assert len(found.dataset.documents) == 3
    assert "the rows hold 14 documents, 3 different ones" in found.notes


def test_a_pair_judged_both_ways_keeps_the_higher_label(tmp_path: Path) -> None:
    rows = [{"query": q, "document": "a", "label": 1} for q in ROWS]
    found = imported(
        jsonl(tmp_path / "t.jsonl", [*rows, {"query": "q0", "document": "a", "label": 0}])
    )
    assert judged(found)["q0"] == {"a": 1}
    assert [one.place for one in found.left_out] == ["t.jsonl, line 7"]


def test_rows_that_lack_something_are_left_out_with_their_reasons(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"query": q, "document": "a"} for q in ROWS]
    rows += [
        {"query": " ", "document": "a"},
        {"query": ["x"], "document": "a"},
        {"query": {"a": 1}, "document": "a"},
        {"query": "x", "document": None},
        {"query": "x", "document": [{"docid": "1"}]},
        {"query": "\u200b", "document": "a"},
    ]
    found = imported(jsonl(tmp_path / "t.jsonl", rows))
    assert [(one.place, one.reason) for one in found.left_out] == [
        ("t.jsonl, line 7", "column 'query' is empty"),
        ("t.jsonl, line 9", "column 'query' holds a list or an object, not one text"),
        ("t.jsonl, line 10", "column 'document' is empty"),
        ("t.jsonl, line 11", "column 'document' holds something that has no text"),
        ("t.jsonl, line 12", "the query has no text to see"),
    ]


def test_a_corpus_of_its_own(tmp_path: Path) -> None:
    articles = tmp_path / "articles.csv"
    articles.write_text(
        "id,headline,body,lang\n1,One,First,en\n2,Two,Second,de\n3,Three,,en\n,x,y,z\n",
        encoding="utf-8",
    )
    questions = tmp_path / "questions.csv"
    lines = ["question,article_id", *(f"{q},{1 + n % 2}" for n, q in enumerate(ROWS))]
    questions.write_text("\n".join([*lines, 'both,"1; 2"', "lost,9"]), encoding="utf-8")
    found = imported(str(questions), corpus=articles, metadata=("lang",))
    assert [d.id for d in found.dataset.documents] == ["1", "2", "3"]
    assert found.dataset.documents[1].metadata == {"lang": "de"}
    assert judged(found)["both"] == {"One: First": 1, "Two: Second": 1}
    assert [(one.place, one.reason) for one in found.left_out] == [
        ("articles.csv, row 5", "column 'id' is empty"),
        ("questions.csv, row 9", "articles.csv has no document of the id '9'"),
    ]


def test_splits_of_the_source_are_kept_and_missing_ones_made(tmp_path: Path) -> None:
    for name, texts in {"train": [f"t{n}" for n in range(40)], "test": ["e1", "T1"]}.items():
        rows = [{"query": q, "document": f"of {name}"} for q in texts]
        jsonl(tmp_path / f"{name}.jsonl", rows)
    found = imported(str(tmp_path))
    assert judged(found)["T1"] == {"of test": 1}, "training's judgement is none of the test's"
    assert [(one.place, one.reason) for one in found.left_out] == [
        ("train.jsonl, line 2", "a query with the same text is in test: out of train")
    ]
    queries = found.dataset.queries
    sides = {s: {queries[q] for q in qrels} for s, qrels in found.dataset.qrels.items()}
    assert set(sides) == {"train", "dev", "test"}
    assert {q.casefold() for q in sides["test"]} == {"e1", "t1"}
    assert len(sides["train"]) + len(sides["dev"]) == 39
    assert any("made of the training split: dev" in note for note in found.notes)


def test_a_column_of_split_names(tmp_path: Path) -> None:
    names = ["train"] * 4 + ["validation", "test"]
    rows = [{"query": q, "document": "a", "split": s} for q, s in zip(ROWS, names, strict=True)]
    found = imported(jsonl(tmp_path / "t.jsonl", rows))
    assert {s: len(q) for s, q in found.dataset.qrels.items()} == {"train": 4, "dev": 1, "test": 1}
    anew = imported(jsonl(tmp_path / "t.jsonl", rows * 2), "query")
    assert any("are not used: --split-by" in note for note in anew.notes)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([f"2026-01-0{n}" for n in range(1, 7)], "by time: the latest are the test split"),
        (["ann", "bob", "cyd"] * 2, "by group: what belongs together stays so"),
    ],
)
def test_a_column_to_split_by(tmp_path: Path, values: list[str], note: str) -> None:
    rows = [{"query": q, "document": "a", "by": v} for q, v in zip(ROWS, values, strict=True)]
    found = imported(
        jsonl(tmp_path / "t.jsonl", [*rows, {"query": "x", "document": "a"}]), split_by="by"
    )
    assert f"splits made {note}" in found.notes
    assert found.left_out[0].reason == "column 'by' is empty, which splits are made by"
    if note.startswith("by time"):
        assert {found.dataset.queries[q] for q in found.dataset.qrels["test"]} == {"q5"}
    else:
        sides = [
            {found.dataset.queries[q] for q in qrels} for qrels in found.dataset.qrels.values()
        ]
        assert sorted(map(sorted, sides)) == [["q0", "q3"], ["q1", "q4"], ["q2", "q5"]]


def test_dates_that_have_to_be_guessed_are_refused(tmp_path: Path) -> None:
    rows = [{"query": q, "document": "a", "by": "03.04.2024"} for q in ROWS]
    with pytest.raises(DatasetError, match=r"'03.04.2024', whose day and month .* 2024-12-31"):
        imported(jsonl(tmp_path / "t.jsonl", rows), split_by="by")


@pytest.mark.parametrize(
    ("row", "said", "says"),
    [
        (
            {"foo": "a", "bar": "b"},
            {},
            "queries and which right documents; there are 'foo', 'bar'. .* --query and --positive",
        ),
        (
            {"query": "a", "bar": "b"},
            {},
            "holds right documents; there are .* Say it with --positive",
        ),
        (
            {"query": "a", "pos": "b"},
            {"label": "Label"},
            "no column 'Label'; it has 'query', 'pos'",
        ),
        ({"query": "", "pos": "b"}, {}, "no query with a document is left of it; 1 rows: column"),
    ],
)
def test_errors_say_what_to_do(
    tmp_path: Path, row: dict[str, str], said: dict[str, str], says: str
) -> None:
    with pytest.raises(DatasetError, match=says):
        imported(jsonl(tmp_path / "t.jsonl", [row]), **said)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such file or folder: .*lost\.csv"):
        imported(str(tmp_path / "lost.csv"))
    with pytest.raises(DatasetError, match=r"no such file: .*lost\.csv"):
        imported(jsonl(tmp_path / "t.jsonl", [{"a": 1}]), corpus=tmp_path / "lost.csv")
    with pytest.raises(DatasetError, match=r"--layout alfred: t\.jsonl is one file"):
        imported(jsonl(tmp_path / "t.jsonl", [{"a": 1}]), layout="alfred")
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    (tmp_path / "beir" / "corpus.jsonl").touch()
    with pytest.raises(DatasetError, match="BEIR layout already: `rabtriever init --data"):
        imported(str(tmp_path / "beir"))
