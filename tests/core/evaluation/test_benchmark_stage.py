"""The stage on real, untrained tiny models and a real local index."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabtriever_core.config import BackboneConfig, PromptConfig, Settings, StudentConfig
from rabtriever_core.data.dataset import Dataset, Document, write_dataset
from rabtriever_core.evaluation import fidelity
from rabtriever_core.evaluation.comparison import compare
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.systems import KnownDocuments
from rabtriever_core.models.backbone import tiny_backbone
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.releases.remeasure import measured
from rabtriever_core.report.wording import summary_table
from rabtriever_core.stages import benchmark_report, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.inputs import PASSED, finished

WORDS = ("apple", "fridge", "door", "table", "kettle", "window", "lamp", "garden")
DATASET = Dataset(
    "small",
    tuple(Document(f"d{i:02}", f"fetch the {WORDS[i % 8]} for trip {i}") for i in range(24)),
    {f"q{i:02}": f"where is the {WORDS[i % 8]} {i}" for i in range(18)},
    {
        split: {f"q{i:02}": {f"d{i:02}": 1} for i in rows}
        for split, rows in {
            "train": range(6),
            "dev": range(6, 12),
            "test": range(12, 18),
        }.items()
    },
)
TINY = {
    "vocabulary_size": 400,
    "hidden_size": 16,
    "layers": 1,
    "heads": 2,
    "key_value_heads": 1,
    "intermediate_size": 16,
    "max_positions": 192,
}
SETTINGS: dict[str, Any] = {
    "dataset": {"name": "small"},
    "runtime": {"threads": 1},
    "backbone": {"tiny": TINY},
    "prompt": {"max_query_tokens": 64},
    "index": {"probe_queries": 2, "query_tower": "torch"},
    "benchmark": {
        "depth": 12,
        "permutations": 100,
        "latency_queries": 2,
        "document_lengths": (16, 32, 4096),
    },
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Everything that lies before the benchmark."""
    return make_workspace(tmp_path_factory.mktemp("workspace"), SETTINGS)


def make_workspace(
    root: Path,
    sections: dict[str, Any],
    *,
    made: str = "",
    cosine_scale: float = 0.0,
    dataset: Dataset = DATASET,
) -> Workspace:
    """Stand-ins for what is trained, except for the teacher where the stage makes it itself."""
    workspace = Workspace(root, Settings(**sections))
    texts = [d.text for d in dataset.documents] + list(dataset.queries.values())
    backbone = tiny_backbone(BackboneConfig(tiny=TINY), PromptConfig(max_query_tokens=64), texts, 1)
    predictor = make_predictor(backbone.dimension, StudentConfig(hidden_multiple=2), 1)
    metrics = PASSED | {"budget": {"steps": 2, "queries": 4, "pairs": 8}}
    build = partial(finished, workspace, dataset.fingerprint, metrics=metrics)
    data = build("validated_dataset", {}, lambda folder: write_dataset(dataset, folder))
    build("backbone", {"validated_dataset": data}, backbone.save)
    build("bi_encoder", {"validated_dataset": data}, backbone.save)
    if made == "teacher":
        teacher = run_stage(workspace, "teacher").hash
    else:
        if cosine_scale:  # It is all that the margin of this teacher holds.
            backbone = tiny_backbone(
                BackboneConfig(tiny=TINY), PromptConfig(max_query_tokens=64), texts, 2
            )
            backbone.scale_answers(0)
        reranker = GenerativeReranker(backbone, cosine_scale)
        teacher = build("teacher", {"validated_dataset": data}, reranker.save)
    build("student", {"validated_dataset": data, "teacher": teacher}, predictor.save)
    for stage in ("document_embeddings", "calibration", "qdrant_collection"):
        run_stage(workspace, stage)
    return workspace


def test_bm25_that_applications_get_is_measured_as_they_get_it(tmp_path: Path) -> None:
    index = SETTINGS["index"] | {"bm25_weight": "auto"}
    workspace = make_workspace(tmp_path, SETTINGS | {"index": index})
    built = load_artifact(workspace.artifact("qdrant_collection")).meta.metrics["bm25"]
    artifact = run_stage(workspace, "benchmark_report")
    written = json.loads((artifact.folder / "benchmark.json").read_text(encoding="utf-8"))
    assert written["hybrid"]["served"]
    assert written["hybrid"]["weight"] == built["weight"] > 0
    assert written["hybrid"]["dev"]["metrics"] == pytest.approx(built["metrics"], abs=1e-6)
    assert written["exactness"]["top10_agreement"] == 1.0
    page = (artifact.folder / "benchmark.html").read_text(encoding="utf-8")
    assert "and is what applications get" in page
    systems = written["splits"]["test"]["systems"]
    assert measured(Results.read(artifact.folder)) == {
        "test": Results.read(artifact.folder).values("test", "hybrid")["MRR@10"]
    }
    assert systems["hybrid"]["metrics"]["MRR@10"] > systems["student"]["metrics"]["MRR@10"]


def test_writes_numbers_page_plots_and_rankings(workspace: Workspace) -> None:
    artifact = run_stage(workspace, "benchmark_report")
    written = json.loads((artifact.folder / "benchmark.json").read_text(encoding="utf-8"))
    assert set(written["splits"]) == {"test"} == set(artifact.meta.metrics)
    assert written["dataset"]["queries"] == {"train": 6, "dev": 6, "test": 6}
    assert written["exactness"]["top10_agreement"] == 1.0
    assert written["exactness"]["hnsw_recall@10"] >= 0.99
    assert set(written["seconds"]) == {
        "document_embeddings",
        "calibration",
        "qdrant_collection",
    }
    assert list(written["training"]) == ["bi_encoder", "teacher", "student"]
    assert written["training"]["teacher"] == {"steps": 2, "queries": 4, "pairs": 8}
    assert [row["tokens"] for row in written["response_time"]] == [16, 32]
    assert "teacher_candidates" not in written
    page = (artifact.folder / "benchmark.html").read_text(encoding="utf-8")
    assert "The teacher was not trained" not in page
    # BM25 sees the number that query and document share; the models are untrained.
    test = written["splits"]["test"]["systems"]
    assert test["bm25"]["metrics"]["R@1"] == 1.0
    # So dev would have it, and the report says what that is worth, though nobody is served it.
    hybrid = written["hybrid"]
    assert (hybrid["served"], hybrid["dev"]["queries"]) == (False, 6)
    assert hybrid["weight"] == hybrid["dev"]["weight"] == hybrid["dev"]["best"] > 0
    assert test["hybrid"]["metrics"]["MRR@10"] > test["student"]["metrics"]["MRR@10"]
    assert "<code>index.bm25_weight: auto</code> takes it" in page
    plots = {path.stem for path in (artifact.folder / "plots").glob("*.png")}
    assert plots == {
        "quality",
        "recall",
        "ranks",
        "latency_quality",
        "margins",
        "response_time",
        "reliability",
        "risk_coverage",
        "teacher_agreement",
        "two_stage_test",
    }
    two_stage = written["two_stage"]
    assert (two_stage["depth"], two_stage["rerank_depth"]) == (12, 20), "rankings are 12 deep"
    assert (two_stage["dev_split"], two_stage["dev"]["queries"]) == ("dev", 6)
    assert two_stage["student_ms"] == test["student"]["ms_per_query"]
    never, *_, always = two_stage["splits"]["test"]["points"]
    student = test["student"]["metrics"]
    assert never["metrics"] == {metric: student[metric] for metric in never["metrics"]}
    assert (never["share"], always["share"]) == (0, 1)
    assert always["ms"] == pytest.approx(two_stage["student_ms"] + two_stage["rerank_ms"])
    assert 'id="two-stage"' in page
    # Untrained: margins tell nothing, and that is what the calibration says.
    calibration = written["calibration"]
    assert written["seed"] == 17
    assert calibration["documents_per_query"] == 10
    best = calibration["splits"]["test"]["best"]
    assert best["pairs"] == 6 * 10
    assert best["calibrated"]["nll"] < best["student"]["nll"] + 1
    assert "all_pairs" not in calibration["splits"]["test"], "24 documents, depth 12"
    results = Results.read(artifact.folder)
    for system, result in test.items():
        values = results.values("test", system)
        assert np.mean(list(values["MRR@10"].values())) == pytest.approx(
            result["metrics"]["MRR@10"], abs=1e-6
        )
    compared = compare(results, Results.read(workspace.root), system="all", permutations=100)
    assert not compared["queries"]
    run = (artifact.folder / "runs" / "test-student.tsv").read_text(encoding="utf-8").splitlines()
    assert run[0] == "query-id\tcorpus-id\trank\tscore"
    assert len(run) == 1 + 6 * 10
    assert (artifact.folder / "benchmark.html").stat().st_size > 50_000


def test_large_pool_lets_the_teacher_rerank_the_student(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_report, "draw_plots", lambda *_: {})
    monkeypatch.setattr(benchmark_report, "graph_recall", lambda *_: {"hnsw_note": "left out"})
    settings = workspace.settings
    few = settings.benchmark.model_copy(update={"teacher_pairs": 10, "teacher_depth": 10})
    workspace = Workspace(workspace.root, settings.model_copy(update={"benchmark": few}))
    folder = run_stage(workspace, "benchmark_report").folder
    written = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    assert written["teacher_candidates"] == 10
    ranked = (folder / "runs" / "test-teacher.tsv").read_text(encoding="utf-8").splitlines()
    assert len(ranked) == 1 + 10 * written["splits"]["test"]["systems"]["teacher"]["queries"]
    assert "the student's best\n10 documents" in (folder / "benchmark.html").read_text("utf-8")


@pytest.mark.parametrize("pairs", [1000, 10], ids=["whole pool", "student's best"])
def test_queries_that_are_documents_do_not_find_themselves(tmp_path: Path, pairs: int) -> None:
    own = tuple(Document(query, text) for query, text in DATASET.queries.items())
    dataset = replace(
        DATASET, documents=DATASET.documents + own, excluded={"q12": ("d00", "q13", "d01")}
    )
    depths = {"teacher_pairs": pairs, "teacher_depth": 10}
    sections = SETTINGS | {"benchmark": SETTINGS["benchmark"] | depths}
    workspace = make_workspace(tmp_path, sections, dataset=dataset)
    folder = run_stage(workspace, "benchmark_report").folder
    written = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    assert written["dataset"]["left_out"] == {"test": 6}
    assert "own or excluded documents are left out of 6 rankings" in summary_table(written)
    assert "\n6 queries of test." in (folder / "benchmark.html").read_text("utf-8")
    results = Results.read(folder)
    for system, result in written["splits"]["test"]["systems"].items():
        for query, ranked in results.run("test", system).items():
            assert len(ranked) == 10
            left_out = {query, *dataset.excluded.get(query, ())}
            assert left_out == set(results.queries["test"][query].left_out)
            assert not left_out & set(ranked)
        values = results.values("test", system)
        assert np.mean(list(values["MRR@10"].values())) == pytest.approx(
            result["metrics"]["MRR@10"], abs=1e-6
        )
    # Every query shares all its words with its own document alone, and its number with the right.
    assert written["splits"]["test"]["systems"]["bm25"]["metrics"]["R@1"] == 1.0


def test_a_teacher_without_training_is_benchmarked_without_a_budget(tmp_path: Path) -> None:
    workspace = make_workspace(
        tmp_path, SETTINGS | {"teacher": {"method": "zero-shot"}}, made="teacher"
    )
    folder = run_stage(workspace, "benchmark_report").folder
    written = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    assert list(written["training"]) == ["bi_encoder", "student"]
    assert "teacher" in written["splits"]["test"]["systems"]
    page = (folder / "benchmark.html").read_text(encoding="utf-8")
    assert "The teacher was not trained" in page
    assert page.count('<th scope="row">Teacher</th>') == 1  # no row among the budgets
    assert "Teacher" in summary_table(written)


@pytest.mark.parametrize("pairs", [1000, 10], ids=["whole pool", "student's best"])
def test_the_cosine_in_the_teachers_margin_is_measured_alone(tmp_path: Path, pairs: int) -> None:
    depths = {"teacher_pairs": pairs, "teacher_depth": 10}
    sections = SETTINGS | {"benchmark": SETTINGS["benchmark"] | depths}
    workspace = make_workspace(tmp_path, sections, cosine_scale=20.0)
    folder = run_stage(workspace, "benchmark_report").folder
    written = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    test = written["splits"]["test"]
    # This teacher's reading says nothing, so that what is left without it is the whole.
    rankings = {
        system: [
            line.split("\t")[:3]
            for line in (folder / "runs" / f"test-{system}.tsv").read_text("utf-8").splitlines()
        ]
        for system in ("teacher", "teacher_cosine", "bi_encoder")
    }
    assert len(rankings["teacher"]) == 1 + 6 * 10
    assert rankings["teacher_cosine"] == rankings["teacher"] != rankings["bi_encoder"]
    assert test["systems"]["teacher_cosine"]["metrics"] == test["systems"]["teacher"]["metrics"]
    compared = {(row["a"], row["b"]) for row in test["comparisons"]}
    assert {("teacher", "teacher_cosine"), ("student", "teacher_cosine")} <= compared
    assert "teacher_cosine" not in written["training"]


def test_one_query_at_a_time_gives_the_same_margins(workspace: Workspace) -> None:
    teacher = GenerativeReranker.load(workspace.artifact("teacher"), workspace.settings.runtime)
    query = DATASET.queries["q07"]
    alone = KnownDocuments.of(teacher, DATASET.documents).margins(query)
    together = teacher.margins([query, "another"], DATASET.documents)[0]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_missing_engine_is_noted_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = fidelity.graph_recall(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    assert set(result) == {"hnsw_note"}
    assert "rabtriever[edge]" in result["hnsw_note"]
