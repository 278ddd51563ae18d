"""`rabtriever eval`: any BEIR folder against what is served, and nothing dropped silently."""

import json
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.data.judgements import read_judged
from rabtriever_core.errors import DatasetError, ReleaseError
from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.serving import OpenRelease
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.serving.served_quality import evaluate
from rabtriever_core.workspace import Workspace
from tests.core.cli.conftest import Rabtriever
from tests.core.releases.conftest import Make


def beir(folder: Path, rows: dict[str, tuple[str, dict[str, int]]], split: str = "test") -> Path:
    """A folder without a corpus: query id → (text, document → score)."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": query, "text": text}) for query, (text, _) in rows.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    judged = [
        f"{query}\t{document}\t{score}"
        for query, (_, labels) in rows.items()
        for document, score in labels.items()
    ]
    header = "query-id\tcorpus-id\tscore"
    (folder / "qrels" / f"{split}.tsv").write_text("\n".join([header, *judged]) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two right at once, one wrong, one of which one right document is gone, one of which all."""
    return beir(
        tmp_path / "foreign",
        {
            "a": ("tell 1", {"d1": 1}),
            "b": ("tell 2", {"d2": 2, "d9": 0}),
            "c": ("tell 3", {"d4": 1}),
            "d": ("tell 5", {"d5": 1, "elsewhere": 1}),
            "e": ("tell 6", {"nowhere": 1}),
            "f": ("tell 7", {"d7": 0}),
        },
    )


def evaluated(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_object(rabtriever: Rabtriever, folder: Path) -> None:
    found = evaluated(rabtriever("eval", folder, "--json"))
    assert found.keys() == {
        *("folder", "release", "documents", "split", "queries", "systems", "comparisons"),
        "at_least",
    }
    assert found["queries"] == {
        "available": 5,
        "asked": 5,
        "reranked": 0,
        "without_a_right_document": 1,
        "with_some_missing": 1,
    }
    assert found["systems"].keys() == {"student"}
    student = found["systems"]["student"]
    assert student.keys() == {"metrics", "answerable"}
    assert student["metrics"].keys() == student["answerable"].keys() == set(METRICS)
    first = student["metrics"]["R@1"]
    assert first.keys() == {"value", "low", "high"}
    assert first["low"] <= first["value"] <= first["high"]
    # a and b are right at once, d has one of two, c is wrong, of e nothing is there.
    assert first["value"] == pytest.approx((1 + 1 + 0 + 0.5 + 0) / 5)
    assert student["answerable"]["R@1"] == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert (found["comparisons"], found["at_least"]) == ([], [])


def test_the_released_data_give_the_released_figures(
    rabtriever: Rabtriever, released: Workspace
) -> None:
    found = evaluated(rabtriever("eval", released.dataset_folder, "--json"))
    (row,) = evaluated(rabtriever("releases", "list", "--json"))
    measured = {
        name: value["value"] for name, value in found["systems"]["student"]["metrics"].items()
    }
    assert measured == pytest.approx(row["metrics"]["test"]["student"])
    assert found["queries"]["without_a_right_document"] == 0


def test_bm25_beside_it(rabtriever: Rabtriever, released: Workspace) -> None:
    found = evaluated(rabtriever("eval", released.dataset_folder, "--bm25", "--json"))
    assert list(found["systems"]) == ["student", "bm25"]
    (mrr, first) = found["comparisons"]
    assert {(row["a"], row["b"]) for row in (mrr, first)} == {("student", "bm25")}
    assert (mrr["metric"], first["metric"]) == ("MRR@10", "R@1")
    # `tell 7` and `tale 7` share a number that is no other document's.
    assert found["systems"]["bm25"]["metrics"]["R@1"]["value"] == 1


def test_rows_per_query(rabtriever: Rabtriever, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    shown = rabtriever("eval", folder, "--bm25", "--per-query", file).stdout
    rows = {row["query_id"]: row for row in map(json.loads, file.read_text().splitlines())}
    assert list(rows) == ["a", "b", "c", "d", "e"]
    assert rows["d"].keys() == {"query_id", "query", "right", "missing", "systems"}
    assert (rows["d"]["right"], rows["d"]["missing"]) == (["d5", "elsewhere"], ["elsewhere"])
    assert rows["e"]["missing"] == ["nowhere"]
    assert rows["a"]["systems"].keys() == {"student", "bm25"}
    student = rows["a"]["systems"]["student"]
    assert (student["ranking"][0], len(student["ranking"])) == ("d1", 10)
    assert student["metrics"]["MRR@10"] == 1
    assert (
        "queries without a right document in the collection: 1, counted 0; MRR@10 of the" in shown
    )
    assert "queries of which some right documents are not in the collection: 1" in shown
    assert shown.splitlines()[0].endswith("24 documents; test, 5 queries")
    rabtriever("eval", folder, "--per-query", tmp_path / "none" / "rows.jsonl", code=2)


def test_own_and_excluded_documents_are_left_out_and_said(
    rabtriever: Rabtriever, tmp_path: Path
) -> None:
    # `tell 1` finds d1 first: its own document, or one that it excludes.
    folder = beir(tmp_path / "own", {"d1": ("tell 1", {"d2": 1}), "b": ("tell 3", {"d4": 1})})
    asked = [json.loads(line) for line in (folder / "queries.jsonl").open()]
    asked[1]["excluded_ids"] = ["d3", "N/A"]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    file = tmp_path / "rows.jsonl"
    shown = rabtriever("eval", folder, "--bm25", "--per-query", file).stdout
    assert "or excluded_ids are left out of the ranking: 2" in shown
    rows = {row["query_id"]: row for row in map(json.loads, file.open())}
    for query, away in (("d1", "d1"), ("b", "d3")):
        assert rows[query]["left_out"] == [away]
        for system in rows[query]["systems"].values():
            assert away not in system["ranking"]
            assert len(system["ranking"]) == 10
    found = evaluated(rabtriever("eval", folder, "--json"))
    assert found["queries"]["with_documents_left_out"] == 2


def test_what_must_be_reached(rabtriever: Rabtriever, folder: Path) -> None:
    rabtriever("eval", folder, "--at-least", "R@1=0.5", "--at-least", "MRR@10=0.4")
    wanted = ("--at-least", "R@1=0.5", "--at-least", "MRR@10=0.9", "--json")
    result = rabtriever("eval", folder, *wanted, code=1)
    assert "not reached: MRR@10 is" in result.stderr
    rows = evaluated(result)["at_least"]
    assert [row["reached"] for row in rows] == [True, False]
    assert rows[1].keys() == {"metric", "wanted", "value", "reached"}
    for wrong in ("R@2=0.5", "R@1", "R@1=x", "R@1=1.5", "R@1=nan"):
        rabtriever("eval", folder, "--at-least", wrong, code=2)


def test_a_sample_is_the_same_for_the_same_seed(
    rabtriever: Rabtriever, released: Workspace, tmp_path: Path
) -> None:
    asked = []
    for seed in (1, 1, 2):
        file = tmp_path / "rows.jsonl"
        given = ("--max-queries", 4, "--seed", seed, "--per-query", file)
        shown = rabtriever("eval", released.dataset_folder, *given).stdout
        assert "test, 4 of 10 queries" in shown
        asked.append([json.loads(line)["query_id"] for line in file.read_text().splitlines()])
    assert asked[0] == asked[1] != asked[2]


def test_the_two_stages(
    rabtriever: Rabtriever, released: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (released.root / "params.yaml").write_text("serving: {rerank_depth: 24}")

    def knows(_: object, query: str, documents: Any) -> list[float]:
        right = {"tell 1": "d1", "tell 2": "d2", "tell 3": "d4", "tell 5": "d5"}.get(query)
        return [float(document.id == right) for document in documents]

    monkeypatch.setattr(OpenRelease, "teacher_margins", knows)
    found = evaluated(rabtriever("eval", folder, "--rerank", "--json"))
    assert found["systems"].keys() == {"two_stage"}
    assert found["queries"]["reranked"] == 5
    reached = found["systems"]["two_stage"]["metrics"]["R@1"]["value"]
    assert reached == pytest.approx((1 + 1 + 1 + 0.5 + 0) / 5), "it reads them all"
    shown = rabtriever("eval", folder, "--rerank").stdout
    assert "the teacher put the first documents in order for 5 queries" in shown


def test_runs_go_out_and_come_in(rabtriever: Rabtriever, folder: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.trec", tmp_path / "theirs.trec"
    rabtriever("eval", folder, "--save-run", ours)
    lines = [line.split() for line in ours.read_text().splitlines()]
    assert [line[0] for line in lines] == [query for query in "abcde" for _ in range(24)]
    assert lines[0][1:5] == ["Q0", "d1", "1", "24"]
    assert lines[0][5].startswith("rabtriever-0001-")
    # What went out comes back as it was.
    found = evaluated(rabtriever("eval", folder, "--run", ours, "--json"))
    assert found["systems"]["run"] == found["systems"]["student"]
    assert found["comparisons"][0]["difference"] == 0
    # Of anyone: c right, b by the tie that trec_eval breaks by the larger id, a not there.
    theirs.write_text("c Q0 d4 1 9.5 x\nb Q0 d2 7 1 x\nb Q0 d10 2 1.0 x\nz Q0 d1 1 1 x\n")
    shown = rabtriever("eval", folder, "--run", theirs).stdout
    assert "queries of which the run ranks nothing: 3, counted 0 for it" in shown
    found = evaluated(rabtriever("eval", folder, "--run", theirs, "--json"))
    assert found["queries"]["not_in_the_run"] == 3
    run = found["systems"]["run"]["metrics"]
    assert run["R@1"]["value"] == pytest.approx(2 / 5)
    assert {(row["a"], row["b"]) for row in found["comparisons"]} == {("student", "run")}


def test_a_run_of_other_queries_is_refused(
    rabtriever: Rabtriever, folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run.trec"
    for text, words in (
        ("z Q0 d1 1 1 x\n", "ranks none of the 5 queries"),
        ("a Q0 d1 1 1 x\na Q0 d2 2\n", "line 2: expected `query Q0 document rank score tag`"),
        ("a Q0 d1 1 nan x\n", "the score is nan"),
        ("\n", "holds no rankings"),
    ):
        run.write_text(text)
        assert words in rabtriever("eval", folder, "--run", run, code=2).stderr
    assert "there is no file" in rabtriever("eval", folder, "--run", tmp_path / "x", code=2).stderr


def test_what_mteb_does_not_measure(rabtriever: Rabtriever, folder: Path) -> None:
    for option in (["--bm25"], ["--rerank", "auto"], ["--at-least", "R@1=0.5"]):
        said = rabtriever("eval", folder, "--mteb", "SciFact", *option, code=2).stderr
        assert "with --mteb, mteb measures" in said


def test_a_promotion_meanwhile_is_no_result(make: Make, folder: Path) -> None:
    workspace = make()
    promote(workspace, by="ana")

    class Overtaken(Retriever):
        def search_batch(self, *arguments: Any, **options: Any) -> Any:
            promote(make(salt=1), by="ben")
            self.refresh()
            return super().search_batch(*arguments, **options)

    with (
        Overtaken.open(workspace) as retriever,
        pytest.raises(ReleaseError, match="ask them again"),
    ):
        evaluate(retriever, folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "queries.jsonl").unlink(), "no file"),
        (lambda f: (f / "queries.jsonl").write_text('{"_id": "a"}\n'), "line 1: a query has _id"),
        (lambda f: (f / "queries.jsonl").write_text('{"_id": "a", "text": "x"}\n'), "no text of 4"),
        (lambda f: (f / "qrels/test.tsv").write_text("a\td1\tx\n"), "line 1: the score 'x'"),
        (lambda f: (f / "qrels/test.tsv").write_text("a\td1\t0\n"), "no query has a right"),
        (lambda f: (f / "qrels/test.tsv").rename(f / "qrels/dev.tsv"), "there are dev"),
    ],
)
def test_a_folder_that_cannot_be_read(folder: Path, spoil: Any, words: str) -> None:
    spoil(folder)
    with pytest.raises(DatasetError, match=words):
        read_judged(folder, "test")
