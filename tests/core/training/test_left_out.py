"""Documents that a query's rankings leave out: neither right nor wrong, so never a negative."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from rabtriever_core.config import BiEncoderConfig
from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student
from rabtriever_core.training import stacking
from rabtriever_core.training.bi_encoder import train_bi_encoder
from rabtriever_core.training.distill import distill
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.negatives import Similarity, lexical_negatives, mine
from rabtriever_core.training.pairs import candidates, draw_pairs
from rabtriever_core.training.rollouts import draw_candidates
from rabtriever_core.training.sft import fine_tune_teacher
from rabtriever_core.training.warmup import warm_up
from tests.core.small import BACKBONE as BACKBONE_CONFIG
from tests.core.small import RUNTIME, small_backbone
from tests.core.training.short import DATASET, SHORT, STUDENT, TEACHER

# As in ArguAna and Quora: every query is a document, too. Those are right answers of one another.
OWN = Dataset(
    "own",
    tuple(Document(query, text) for query, text in sorted(DATASET.queries.items())),
    DATASET.queries,
    {
        split: {
            query: {
                other: 1
                for other in DATASET.queries
                if other != query and other.split("-")[1:3] == query.split("-")[1:3]
            }
            for query in qrels
        }
        for split, qrels in DATASET.qrels.items()
    },
)
BACKBONE = small_backbone(OWN)
EXAMPLES = Examples.of(OWN, "train", BACKBONE.prompt)
QUERIES = range(len(EXAMPLES.queries))
EVERYTHING = np.arange(len(EXAMPLES.documents))


def _own(examples: Examples, query: int) -> int:
    (document,) = examples.left_out[query]
    assert examples.documents[document].text == examples.queries[query]
    return document


def test_a_querys_own_and_excluded_documents_are_known_by_number() -> None:
    assert set(EXAMPLES.left_out) == set(QUERIES)
    some = EXAMPLES.only(np.array([7, 2]))
    assert [some.left_out[i] for i in range(2)] == [EXAMPLES.left_out[q] for q in (7, 2)]
    few = EXAMPLES.over(np.array([_own(EXAMPLES, 3), _own(EXAMPLES, 1)]))
    assert [sorted(few.left_out[q]) for q in (1, 2, 3)] == [[1], [], [0]]
    counted = EXAMPLES.counted(QUERIES, EVERYTHING)
    assert [np.flatnonzero(~row).tolist() for row in counted] == [
        [_own(EXAMPLES, query)] for query in QUERIES
    ]
    excluded = replace(OWN, excluded={sorted(OWN.qrels["train"])[0]: ("dev-exam-night-4",)})
    assert len(Examples.of(excluded, "train", BACKBONE.prompt).left_out[0]) == 2
    assert Examples.of(DATASET, "train", BACKBONE.prompt).left_out == {}


def test_they_are_not_mined() -> None:
    near = Similarity.of(BACKBONE, EXAMPLES).hard_negatives(EXAMPLES, EVERYTHING, 3, block=7)
    lexical = lexical_negatives(EXAMPLES, EVERYTHING, 3, block=7)
    mined = mine(("encoder", "bm25"), BACKBONE, EXAMPLES, EVERYTHING, 3, np.array(QUERIES))
    for rows in (near, lexical, mined):
        assert not any(_own(EXAMPLES, query) in rows[query] for query in QUERIES)
    # Nothing shares more words with a query than its own text.
    plain = lexical_negatives(replace(EXAMPLES, left_out={}), EVERYTHING, 3)
    assert sum(_own(EXAMPLES, query) in plain[query] for query in QUERIES) > len(QUERIES) / 2


@given(st.integers(0, 2**16), st.integers(2, 72), st.booleans())
@settings(max_examples=30, deadline=None)
def test_they_are_candidates_only_where_nothing_else_is_left_and_never_used(
    seed: int, count: int, mined: bool
) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.permutation(len(QUERIES))[:3].tolist()
    hard = None
    if mined:
        hard = [
            np.array(sorted(set(EVERYTHING.tolist()) - EXAMPLES.relevant[q] - EXAMPLES.left_out[q]))
            for q in QUERIES
        ]
    drawn = candidates(EXAMPLES, queries, hard, count, 0.6, rng)
    wrong = len(EVERYTHING) - len(EXAMPLES.relevant[0]) - 1
    for query, row in zip(queries, drawn.tolist(), strict=True):
        assert len(set(row)) == len(row) == count
        if count <= wrong + 1:
            assert _own(EXAMPLES, query) not in row
    config = TEACHER.model_copy(update={"documents_per_query": count})
    pairs = draw_pairs(EXAMPLES, hard, config, seed, 0)
    used = pairs.used().numpy()
    for query, row, counts in zip(pairs.queries, pairs.drawn.tolist(), used, strict=True):
        assert counts.tolist() == [
            d != _own(EXAMPLES, query) and bool(EXAMPLES.relevant_to_some[d]) for d in row
        ]


@given(st.integers(0, 2**16), st.integers(1, 12), st.sampled_from([0.0, 0.25, 1.0]))
def test_the_policy_draws_them_last(seed: int, count: int, uniform: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(4, 10)).astype(np.float32)
    scores[:, [2, 5]] = -np.inf
    drawn = draw_candidates(scores, count, 1.0, uniform, rng)
    for row in drawn.tolist():
        assert len(set(row)) == len(row) == min(count, 10)
        assert len({2, 5} & set(row)) == max(0, min(count, 10) - 8)


def test_roll_outs_hold_none(tmp_path: Path) -> None:
    student = Student(BACKBONE, make_predictor(BACKBONE.dimension, STUDENT, RUNTIME.seed))
    schedule = SHORT.model_copy(update={"min_steps": 4, "max_steps": 4})
    config = STUDENT.model_copy(update={"schedule": schedule, "refresh_steps": 2})
    distill(GenerativeReranker(BACKBONE), student, EXAMPLES, config, RUNTIME, tmp_path)
    stored = [load_file(path) for path in sorted(tmp_path.glob("rollouts-*.safetensors"))]
    assert len(stored) == 2
    for rollouts in stored:
        for query, documents in zip(rollouts["queries"], rollouts["documents"], strict=True):
            assert _own(EXAMPLES, int(query)) not in documents


def test_cosine_and_reading_are_weighed_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    teacher = GenerativeReranker(BACKBONE, 20.0)
    margins = teacher.candidate_margins
    monkeypatch.setattr(
        teacher, "candidate_margins", lambda *a: (asked.append(a[2]), margins(*a))[1]
    )
    for most, expected in ((20, 20), (500, len(EVERYTHING) - 1)):
        monkeypatch.setattr(stacking, "CANDIDATES", most)
        stacking.weigh_cosine_and_reading(teacher, EXAMPLES)
        found = asked.pop()
        assert found.shape[1] == expected
        assert not any(_own(EXAMPLES, query) in row for query, row in enumerate(found))


def test_two_texts_that_answer_one_another_leave_nothing_to_tell_apart(tmp_path: Path) -> None:
    """Each is right for the other and left out of its own ranking: there is no negative at all."""
    texts = {"a": "I am worn out and tired", "b": "So tired that I could sleep for a week"}
    right = {"train": {"a": {"b": 1}, "b": {"a": 1}}}
    two = Dataset("two", tuple(Document(id_, text) for id_, text in texts.items()), texts, right)
    schedule = SHORT.model_copy(update={"min_steps": 3, "max_steps": 3})

    def losses(history: History, *names: str) -> set[float]:
        return {row[f"loss_{name}"] for row in history for name in names}

    backbone = small_backbone(OWN)
    examples = Examples.of(two, "train", backbone.prompt)
    warmed = BACKBONE_CONFIG.model_copy(update={"warmup": schedule})
    history = warm_up(backbone, examples, warmed, RUNTIME, tmp_path / "warm-up")
    assert losses(history, "contrast") == {0.0}
    apart = BiEncoderConfig(schedule=schedule, hard_negatives=2)
    history = train_bi_encoder(
        small_backbone(OWN), examples, apart, RUNTIME, tmp_path / "bi_encoder"
    )
    assert losses(history, "contrast") == {0.0}
    reranker = GenerativeReranker(backbone)
    config = TEACHER.model_copy(update={"schedule": schedule})
    history = fine_tune_teacher(reranker, examples, config, RUNTIME, tmp_path / "teacher", None)
    assert losses(history, "contrast", "listwise") == {0.0}
    assert min(losses(history, "answer")) > 0
    rolled = STUDENT.model_copy(update={"schedule": schedule, "supervised_weight": 1.0})
    student = Student(backbone, make_predictor(backbone.dimension, rolled, RUNTIME.seed))
    history = distill(reranker, student, examples, rolled, RUNTIME, tmp_path / "student")
    assert losses(history, "supervised") == {0.0}
