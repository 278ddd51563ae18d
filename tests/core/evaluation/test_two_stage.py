"""Two-stage answers: their ends are the student and the teacher, their cost is bounded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rabtriever_core.evaluation import two_stage
from rabtriever_core.evaluation.metrics import Run, aggregate, ranking, run_from_scores
from rabtriever_core.evaluation.schema import point_of, validated
from rabtriever_core.evaluation.two_stage import curve, first_margins, reranked
from rabtriever_core.models.probability import Calibration
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.report.benchmark import write_report
from rabtriever_core.report.gallery import draw_two_stage
from rabtriever_core.report.wording import reranking
from tests.core.small import small_backbone, small_dataset

CALIBRATION = Calibration(slope=1.5, bias=-2, threshold=None, precision=0.9, unanswerable_share=0.5)
TIMES = {"student_ms": 4.0, "rerank_ms": 40.0}
DATASET = small_dataset()
TEACHER = GenerativeReranker(small_backbone(DATASET))


def made(seed: int, queries: int = 40, skill: float = 2.0) -> tuple[dict[str, Any], Run, Run]:
    """Judgements, a student's rankings of 30 documents and a teacher of that skill."""
    rng = np.random.default_rng(seed)
    names, ids = [f"q{i}" for i in range(queries)], [f"d{i}" for i in range(30)]
    right = np.arange(30) == rng.integers(30, size=(queries, 1))
    student = rng.normal(size=right.shape) + 2.5 * right
    teacher = rng.normal(size=right.shape) + skill * right
    qrels = {q: {ids[int(row.argmax())]: 1} for q, row in zip(names, right, strict=True)}
    return (
        qrels,
        run_from_scores(names, ids, student, 20),
        run_from_scores(names, ids, teacher, 30),
    )


def drawn(seed: int, below: float = 0.6, **options: Any) -> dict[str, Any]:
    qrels, student, teacher = made(seed, **options)
    return curve(qrels, student, teacher, CALIBRATION, depth=8, rerank_below=below, seed=1, **TIMES)


def result(seed: int = 0, skill: float = 6.0, depth: int = 8) -> dict[str, Any]:
    part = drawn(seed, skill=skill)
    return two_stage.two_stage_result(
        {"test": part, "test_2": part},
        ("dev", part),
        depth=depth,
        rerank_depth=8,
        rerank_below=0.6,
        **TIMES,
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), below=st.floats(0, 1))
def test_the_ends_are_the_student_and_the_teacher(seed: int, below: float) -> None:
    qrels, student, teacher = made(seed)
    points = drawn(seed, below)["points"]
    alone = aggregate(qrels, student)
    assert points[0] == {
        "role": "never",
        "threshold": 0.0,
        "share": 0.0,
        "metrics": {metric: alone[metric] for metric in two_stage.SHOWN_METRICS},
        "ms": 4.0,
    }
    # By hand: the teacher's own ranking of what the student put first, then the rest.
    by_hand = {}
    for query, scores in student.items():
        first, rest = ranking(scores)[:8], ranking(scores)[8:]
        own = ranking({d: teacher[query][d] for d in first})
        by_hand[query] = {d: 1 / (1 + place) for place, d in enumerate([*own, *rest])}
    always = aggregate(qrels, by_hand)
    assert points[-1]["role"] == "always"
    assert points[-1]["metrics"] == {m: always[m] for m in two_stage.SHOWN_METRICS}
    assert (points[-1]["share"], points[-1]["ms"]) == (1.0, 44.0)
    for name in ("threshold", "share", "ms"):
        values = [point[name] for point in points]
        assert values == sorted(values), name
    for point in points[1:]:
        gain = point["metrics"]["MRR@10"] - alone["MRR@10"]
        assert point.get("gain", 0.0) == pytest.approx(gain, abs=1e-12)
        assert ("gain_interval" in point) == (point["share"] > 0)


def test_auto_asks_below_its_threshold() -> None:
    qrels, student, teacher = made(3)
    best = CALIBRATION.probabilities([max(scores.values()) for scores in student.values()])
    auto = point_of(drawn(3, below=0.9)["points"], "auto")
    assert 0 < auto["share"] < 1
    assert auto["share"] == np.mean(best < 0.9)
    assert auto["ms"] == 4 + auto["share"] * 40
    mixed = {
        query: reranked(scores, teacher[query], 8) if unsure else scores
        for (query, scores), unsure in zip(student.items(), best < 0.9, strict=True)
    }
    assert auto["metrics"]["MRR@10"] == aggregate(qrels, mixed)["MRR@10"]


def test_equal_margins_are_ordered_by_id_and_the_rest_stays() -> None:
    student = {"c": 5.0, "b": 4.0, "a": 3.0, "e": 2.0, "d": 1.0}
    answer = reranked(student, {"c": 1.0, "b": 2.0, "a": 2.0}, 3)
    assert ranking(answer) == ["a", "b", "c", "e", "d"]


def test_a_sure_student_is_never_asked_about_but_always_is_always() -> None:
    """Probabilities that are 1 in every digit there is."""
    qrels, student, teacher = made(0)
    sure = {q: {d: s + 1000 for d, s in scores.items()} for q, scores in student.items()}
    part = curve(qrels, sure, teacher, CALIBRATION, depth=8, rerank_below=1.0, seed=1, **TIMES)
    assert [(p["role"], p["share"]) for p in part["points"]] == [
        ("never", 0.0),
        ("auto", 0.0),
        ("always", 1.0),
    ]


def test_the_suggestion_asks_no_more_than_pays() -> None:
    better = drawn(0, skill=6.0)["points"]
    chosen = two_stage.suggested_threshold(better)
    best = max(point["metrics"]["MRR@10"] for point in better)
    at = next(point for point in better if point["threshold"] == chosen)
    assert at["metrics"]["MRR@10"] == best
    assert all(p["metrics"]["MRR@10"] < best for p in better if p["share"] < at["share"])
    assert two_stage.suggested_threshold(drawn(0, skill=0.0)["points"]) == 0


def test_the_teacher_reads_only_what_it_has_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = DATASET.split_queries("test")
    ids = [document.id for document in DATASET.documents]
    whole = TEACHER.margins([DATASET.queries[q] for q in queries], DATASET.documents)
    everything = run_from_scores(queries, ids, whole, len(ids))
    student = run_from_scores(
        queries, ids, np.random.default_rng(0).normal(size=whole.shape), len(ids)
    )
    arguments = (DATASET.documents, student)
    known = first_margins(TEACHER, *arguments, everything, DATASET.queries, 5)
    wanted = {q: {d: everything[q][d] for d in ranking(student[q])[:5]} for q in queries}
    assert known == wanted
    half = {q: dict(list(m.items())[::2]) for q, m in list(everything.items())[::2]}
    for before in ({}, half):
        read = first_margins(TEACHER, *arguments, before, DATASET.queries, 5)
        assert list(read) == queries
        for query in queries:
            assert read[query] == pytest.approx(wanted[query], abs=1e-4)
    monkeypatch.setattr(two_stage, "MAX_PAIRS", 37)
    sampled = first_margins(TEACHER, *arguments, {}, DATASET.queries, 5)
    assert len(sampled) == 7 and set(sampled) < set(queries)
    assert sampled == first_margins(TEACHER, *arguments, {}, DATASET.queries, 5)
    assert len(first_margins(TEACHER, *arguments, everything, DATASET.queries, 5)) == len(queries)


def test_reranking_is_timed_on_the_documents_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = DATASET.split_queries("test")[:4]
    ids = [document.id for document in DATASET.documents]
    student = run_from_scores(queries, ids, np.eye(4, len(ids)), len(ids))
    read: list[tuple[int, int]] = []
    real = TEACHER.candidate_margins

    def counted(texts: Any, documents: Any, candidates: Any, label: str | None) -> Any:
        read.append((len(documents), len(texts)))
        return real(texts, documents, candidates, label)

    monkeypatch.setattr(TEACHER, "candidate_margins", counted)
    took = two_stage.rerank_milliseconds(
        TEACHER, DATASET.documents, student, DATASET.queries, queries, 6
    )
    assert took > 0
    assert set(read) == {(6, 1)}


def test_the_contract_takes_it_and_needs_it_not(benchmark: dict[str, Any]) -> None:
    assert "two_stage" not in validated(benchmark)
    written = validated(benchmark | {"two_stage": result()})["two_stage"]
    assert list(written["splits"]) == ["test", "test_2"]
    assert written["splits"]["test"]["points"][0]["role"] == "never"
    broken = result()
    broken["splits"]["test"]["points"][0]["share"] = 1.2
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        validated(benchmark | {"two_stage": broken})


@pytest.mark.parametrize(
    ("skill", "words"),
    [(6.0, "pays: +"), (-4.0, "every query does harm: −")],
)
def test_title_and_section_say_what_is_best(
    benchmark: dict[str, Any], tmp_path: Path, skill: float, words: str
) -> None:
    part = result(skill=skill, depth=7)
    plots = draw_two_stage(tmp_path / "plots", part)
    again = draw_two_stage(tmp_path / "again", part)
    assert [p.read_bytes() for p in plots.values()] == [p.read_bytes() for p in again.values()]
    assert [path.stem for path in plots.values()] == ["two_stage_test", "two_stage_test_2"]
    assert next(iter(plots)).startswith("On test, reranking ")
    assert words in next(iter(plots))
    page = write_report(
        benchmark | {"two_stage": part}, {}, [], tmp_path, two_stage_plots=plots
    ).read_text(encoding="utf-8")
    assert words in page
    assert ("nothing speaks for reranking" in page) == (skill < 0)
    assert ("<code>serving.rerank_below: " in page) == (skill > 0)
    assert "the rankings here hold 7" in page
    assert page.count('<th scope="row">always') == 2


def test_no_gain_is_said_to_be_none() -> None:
    points = drawn(0, skill=2.5)["points"]
    for role in ("auto", "always"):
        low, high = point_of(points, role)["gain_interval"]
        assert low <= 0 <= high
    assert reranking("test_2", points).startswith(
        "On test 2, reranking every query brings no clear gain: "
    )


def test_a_report_without_it_has_no_such_section(benchmark: dict[str, Any], tmp_path: Path) -> None:
    assert 'id="two-stage"' not in write_report(benchmark, {}, [], tmp_path).read_text("utf-8")
