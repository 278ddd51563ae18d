"""Feedback: stored once and durably, validated like all data, trained on, and never in the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data import feedback
from rabtriever_core.data.dataset import read_dataset, read_jsonl
from rabtriever_core.data.feedback import (
    FEEDBACK,
    Judgement,
    add_feedback,
    feedback_lines,
    query_id,
    standing,
)
from rabtriever_core.data.ids import id_problem
from rabtriever_core.data.validation import validate_dataset
from rabtriever_core.dvc.initialize import init_workspace
from rabtriever_core.errors import ConfigError, DatasetError
from rabtriever_core.stages import run_stage
from rabtriever_core.stages.validated_dataset import fingerprint
from rabtriever_core.workspace import Workspace
from tests.core.data.authored import clean_rows, write

JUDGED = Judgement(
    "a new question", "d1", True, "0001-abcdef", "ana", datetime(2026, 1, 2, tzinfo=UTC)
)


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / FEEDBACK).read_text().splitlines()]


def test_a_judgement_is_stored_once_and_a_later_one_wins(tmp_path: Path) -> None:
    lock = tmp_path / "work" / "lock"
    folder = tmp_path / "data"
    folder.mkdir()
    assert add_feedback(folder, JUDGED, lock)
    assert not add_feedback(folder, replace(JUDGED, query=" A new\nQUESTION"), lock)
    assert add_feedback(folder, replace(JUDGED, relevant=False, comment="no"), lock)
    assert not add_feedback(folder, replace(JUDGED, relevant=False), lock)
    assert add_feedback(folder, JUDGED, lock)
    assert add_feedback(folder, replace(JUDGED, document_id="d2"), lock)
    stored = rows(folder)
    assert [row["label"] for row in stored] == [1, 0, 1, 1]
    assert stored[0] == {
        "query": "a new question", "document_id": "d1", "label": 1, "release": "0001-abcdef",
        "by": "ana", "time": "2026-01-02T00:00:00+00:00",
    }  # fmt: skip
    assert stored[1]["comment"] == "no"
    assert sorted(standing(stored).values()) == [2, 3]
    assert [path.name for path in folder.iterdir()] == [FEEDBACK]


def test_what_cannot_be_stored_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock"
    with pytest.raises(ConfigError, match="no data set in"):
        add_feedback(tmp_path / "none", JUDGED, lock)
    monkeypatch.setattr(feedback, "MAX_ROWS", 1)
    add_feedback(tmp_path, JUDGED, lock)
    with pytest.raises(ConfigError, match="1 judgements, as many as it may"):
        add_feedback(tmp_path, replace(JUDGED, document_id="d2"), lock)
    (tmp_path / FEEDBACK).unlink()
    (tmp_path / FEEDBACK).mkdir()
    with pytest.raises(ConfigError, match="cannot be stored"):
        add_feedback(tmp_path, JUDGED, lock)


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.just("half \ud83d"),
    st.text(st.characters(), min_size=1, max_size=4),
)
def test_any_text_is_stored_as_one_line_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, id_: str
) -> None:
    folder = tmp_path_factory.mktemp("data")
    judged = [replace(JUDGED, query=q, document_id=id_, comment=text) for q in (text, "next")]
    if id_problem(id_):
        with pytest.raises(DatasetError, match="give it another id"):
            add_feedback(folder, judged[0], folder / "lock")
        assert not (folder / FEEDBACK).exists()
        return
    for each in judged:
        assert add_feedback(folder, each, folder / "lock")
    stored = [row for _, row in read_jsonl(folder / FEEDBACK)]
    assert [(r["query"], r["document_id"], r.get("comment", "")) for r in stored] == [
        (each.query, id_, text) for each in judged
    ]
    assert len(feedback_lines(folder)) == len(stored)


@pytest.mark.parametrize("end", ["", "\n", " \n\n", "\u00a0\n", "\u2028", "\x0c\r\n\x85\n"])
def test_the_lines_that_count_are_those_that_are_read(tmp_path: Path, end: str) -> None:
    row = '{"query": "one\u2028two\x85", "document_id": "d", "label": 1}'
    (tmp_path / FEEDBACK).write_bytes(f"\ufeff{row}\r{row}\n{end}".encode())
    numbers = [number for number, _ in read_jsonl(tmp_path / FEEDBACK)]
    assert numbers == [1, 2]
    assert len(feedback_lines(tmp_path)) == 2
    (tmp_path / FEEDBACK).write_bytes(f"\ufeff{end}".encode())
    assert not feedback_lines(tmp_path)


def judge_for_ever(folder: Path, name: str) -> None:
    for number in range(10_000):
        judged = replace(JUDGED, query=f"{name} {number} {'x' * 5000}")
        add_feedback(folder, judged, folder.parent / "lock")


def test_whoever_is_killed_no_line_is_torn_and_none_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=judge_for_ever, args=(folder, n)) for n in ("a", "b")]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 20
    while not (folder / FEEDBACK).exists() or len(rows(folder)) < 12:
        assert time.monotonic() < deadline
    os.kill(writers[0].pid or 0, signal.SIGKILL)
    count = len(rows(folder))
    while len(rows(folder)) < count + 3:  # the other one goes on
        assert time.monotonic() < deadline
    os.kill(writers[1].pid or 0, signal.SIGKILL)
    for writer in writers:
        writer.join()
    found = [str(row["query"]).split()[:2] for row in rows(folder)]
    for name in ("a", "b"):
        numbers = [int(number) for writer, number in found if writer == name]
        assert numbers == list(range(len(numbers)))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "A ", "b"]), st.sampled_from("xy"), st.booleans()),
        max_size=12,
    )
)
def test_what_holds_is_the_last_judgement(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    for query, document, relevant in said:
        judged = replace(JUDGED, query=query, document_id=document, relevant=relevant)
        add_feedback(folder, judged, folder / "lock")
    stored = rows(folder) if said else []
    expected = {(query.strip().lower(), document): relevant for query, document, relevant in said}
    held = {key: bool(stored[n]["label"]) for key, n in standing(stored).items()}
    assert held == expected
    assert query_id("A ") == query_id("a") != query_id("b")


def line(query: object, document: str, label: object = 1) -> str:
    return json.dumps({"query": query, "document_id": document, "label": label}) + "\n"


def test_feedback_is_validated_like_all_data(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    half = "half \ud83d"
    lines = [
        line("Brand new", "d1"),  # 1
        line("brand  NEW", "d2", 0),
        line("brand new", "gone"),
        line("question 25", "d1"),  # 4: of dev
        line("QUESTION 3", "d2"),  # another document for a training query
        line("question 3", "d3"),  # 6: which it has already
        line("", "d1"),
        line("turned", "d1"),  # 8: taken back by the next one
        line("turned", "d1", 0),
        line("odd", "d1", "yes"),  # 10
        line(half, "d1"),
        line("x" * 20_001, "d0"),
        line("turned", "d3"),
        line("turned", half),  # 14
    ]
    (raw / FEEDBACK).write_text("".join(lines))
    outcome = validate_dataset(raw, tmp_path / "out", DatasetConfig(), ValidationConfig())
    assert outcome.passed
    assert outcome.feedback_lines == 14
    assert outcome.rows[FEEDBACK] == 13
    assert outcome.warnings == ("feedback_usable: 1 of 1 rows in feedback",)
    left = [json.loads(text) for text in (tmp_path / "out" / "quarantine.jsonl").open()]
    assert {f"{row['file']}:{row['line']}": row["reasons"] for row in left} == {
        "feedback.jsonl:3": ["dangling: document 'gone' is not in corpus.jsonl"],
        "feedback.jsonl:4": ["leakage: same text as q25 in dev"],
        "feedback.jsonl:6": ["duplicate judgement: train judges 'q3' and 'd3' in an earlier row"],
        "feedback.jsonl:7": [
            "empty: text missing, blank or not a string",
            f"dangling: query {query_id('')!r} is quarantined",
        ],
        "feedback.jsonl:10": ["label 'yes' is not one of 0, 1, 2, 3"],
        "feedback.jsonl:11": [
            "not valid Unicode: it holds half a surrogate pair",
            f"dangling: query {query_id(half)!r} is quarantined",
        ],
        "feedback.jsonl:12": [
            "too long: 20001 characters, allowed are 20000",
            f"dangling: query {query_id('x' * 20_001)!r} is quarantined",
        ],
        "feedback.jsonl:14": [f"dangling: document {half!r} is not in corpus.jsonl"],
    }
    dataset = read_dataset(tmp_path / "out")
    new, turned = query_id("brand new"), query_id("turned")
    assert dataset.queries[new] == "Brand new"
    train = dataset.qrels["train"]
    assert (train[new], train[turned]) == ({"d1": 1, "d2": 0}, {"d1": 0, "d3": 1})
    assert train["q3"] == {"d3": 1, "d2": 1}
    assert {id_ for id_ in dataset.queries if id_.startswith("feedback-")} == {new, turned}


def test_without_feedback_nothing_differs(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    params = tmp_path / "params.yaml"
    params.write_text("dataset: {demo: false, folder: raw}\n", encoding="utf-8")
    space = Workspace.open(tmp_path)
    before = fingerprint(space)
    (raw / FEEDBACK).write_text("\n")
    assert fingerprint(space) == before
    assert "feedback_lines" not in run_stage(space, "validated_dataset").meta.metrics
    assert run_stage(space, "validated_dataset").reused


def test_feedback_that_comes_during_a_run_waits_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write(tmp_path / "raw", *clean_rows())
    params = tmp_path / "params.yaml"
    params.write_text("dataset: {demo: false, folder: raw}\n", encoding="utf-8")
    space = Workspace.open(tmp_path)
    add_feedback(raw, JUDGED, tmp_path / "lock")
    later = replace(JUDGED, query="asked meanwhile")

    def meanwhile(*arguments: object) -> object:
        outcome = validate_dataset(*arguments)  # type: ignore[arg-type]
        add_feedback(raw, later, tmp_path / "lock")
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr("rabtriever_core.data.validation.validate_dataset", meanwhile)
        first = run_stage(space, "validated_dataset")
    assert first.meta.metrics["feedback_lines"] == 1
    assert fingerprint(space, first.meta.metrics) == first.meta.dataset != fingerprint(space)
    assert query_id(later.query) not in read_dataset(first.folder).queries
    second = run_stage(space, "validated_dataset")
    assert not second.reused
    assert read_dataset(second.folder).qrels["train"][query_id(later.query)] == {"d1": 1}
    # Whoever changes what was validated is found out as before.
    (raw / FEEDBACK).write_text(line("other", "d2"))
    assert fingerprint(space, second.meta.metrics) != second.meta.dataset


def test_the_demo_with_feedback_is_still_the_demo(tmp_path: Path) -> None:
    space = init_workspace(tmp_path)
    add_feedback(space.dataset_folder, JUDGED, space.work / "lock")
    init_workspace(tmp_path)
    add_feedback(space.dataset_folder, replace(JUDGED, query="another"), space.work / "lock")
    recorded = (tmp_path / "data.dvc").read_text()
    init_workspace(tmp_path)
    assert (tmp_path / "data.dvc").read_text() != recorded
