"""What a benchmark wrote is what is read, and damage is named."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.data.ids import id_problem
from rabtriever_core.errors import ArtifactError, DatasetError
from rabtriever_core.evaluation.metrics import per_query, ranking
from rabtriever_core.evaluation.results import RUN_DEPTH, JudgedQuery, Results, write_runs
from tests.core.evaluation.reports import DATASET, HOSTILE, made_runs, write


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return write(tmp_path / "work" / "reports", made_runs(1))


def test_values_survive_the_files(results: Results) -> None:
    for split, systems in made_runs(1).items():
        for system, run in systems.items():
            assert results.values(split, system) == per_query(DATASET.qrels[split], run)
            # The scores differ by less than what is written of them: only ranks can tell.
            read = results.run(split, system)
            assert {q: ranking(s) for q, s in read.items()} == {
                q: ranking(s)[:RUN_DEPTH] for q, s in run.items()
            }


def test_queries_survive_the_files(results: Results) -> None:
    query = results.queries["test"]["q01"]
    assert query.text == f"query 1 {HOSTILE}"
    assert query.right == {"d01": 1, "d02": 1}
    assert query.titles == {"d01": "Title 1", "d02": "text 2"}
    assert results.queries["test"]["q00"].right == {"d00": 1}, "label 0 is not right"
    assert results.queries["test_2"]["q16"].right == {"d01": 2}


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(), min_size=1, max_size=5),
)
def test_any_text_survives_and_ids_do_or_are_refused(text: str, id_: str) -> None:
    documents = (Document(id_, text), Document("d", "x", text))
    dataset = Dataset("any", documents, {id_: text}, {"test": {id_: {id_: 1}}}, {id_: ("d",)})
    runs = {"test": {"student": {id_: {id_: 1.0, "d": 2.0}}}}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        if id_problem(id_):
            with pytest.raises(DatasetError, match="give it another id"):
                write_runs(folder, dataset, runs)
            return
        write_runs(folder, dataset, runs)
        facts = {"dataset": {"fingerprint": dataset.fingerprint}, "splits": {"test": {}}}
        (folder / "benchmark.json").write_text(json.dumps(facts))
        results = Results.read(folder)
        left_out = () if id_ == "d" else ("d",)
        titles = {id_: text}
        assert results.queries["test"] == {id_: JudgedQuery(text, {id_: 1}, titles, left_out)}
        assert ranking(results.run("test", "student")[id_]) == list(dict.fromkeys(["d", id_]))


def test_a_workspace_or_its_reports_folder(results: Results) -> None:
    assert Results.read(results.folder.parent).folder == results.folder
    with pytest.raises(ArtifactError, match="expected a workspace or its reports folder"):
        Results.read(results.folder / "runs")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("benchmark.json", "{", "benchmark.json is damaged"),
        ("benchmark.json", "[]", "benchmark.json is damaged"),
        ("queries.jsonl", None, r"no .*queries\.jsonl"),
        ("queries.jsonl", "", r"queries\.jsonl is damaged"),
        ("queries.jsonl", "{}", r"queries\.jsonl is damaged.*fingerprint"),
        ("queries.jsonl", '{"fingerprint": "0"}', "is of another data set"),
        ("runs/test-student.tsv", None, r"no .*test-student\.tsv"),
        ("runs/test-student.tsv", "head\nq00\td01\tx\t1", "line 2: expected query, document"),
    ],
)
def test_damage_is_named(results: Results, file: str, text: str | None, message: str) -> None:
    path = results.folder / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(ArtifactError, match=message):
        Results.read(results.folder).values("test", "student")


def test_mixed_files_are_noticed(results: Results) -> None:
    runs = results.folder / "runs"
    (runs / "test-bm25.tsv").rename(runs / "test-student.tsv")
    with pytest.raises(ArtifactError, match="files of different runs are mixed"):
        results.values("test", "student")


def test_a_split_without_queries(results: Results) -> None:
    path = results.folder / "queries.jsonl"
    lines = [line for line in path.read_text().splitlines() if '"test_2"' not in line]
    path.write_text("\n".join(lines))
    with pytest.raises(ArtifactError, match="no queries of split 'test_2'"):
        Results.read(results.folder).values("test_2", "student")


def test_writing_twice_gives_the_same_bytes(results: Results, tmp_path: Path) -> None:
    again = write(tmp_path / "again", made_runs(1))
    for path in ("queries.jsonl", "runs/test-student.tsv"):
        assert (again.folder / path).read_bytes() == (results.folder / path).read_bytes()
    rows = [json.loads(line) for line in (again.folder / "queries.jsonl").open()]
    assert len(rows) == 1 + 16 + 8
