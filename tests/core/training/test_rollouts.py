"""The teacher's states at other tokens of the query: which, how many, and that they are right."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from rabtriever_core.config import LoraConfig, ScheduleConfig, StudentConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student
from rabtriever_core.training.distill import distill
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.rollouts import RollOuts, draw_positions, read_by_teacher
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
BACKBONE = small_backbone(DATASET)
TEACHER = GenerativeReranker(BACKBONE)
EXAMPLES = Examples.of(DATASET, "train", BACKBONE.prompt)
QUERY_IDS = [*EXAMPLES.query_ids[:4], EXAMPLES.query_ids[4][:3]]
DOCUMENTS = np.array([[0, 5, 7], [1, 2, 0], [11, 4, 3], [6, 5, 9], [8, 0, 1]])
BRIEF = ScheduleConfig(
    min_steps=40, max_steps=40, queries_per_step=6, checkpoint_steps=20, learning_rate=3e-3
)
STUDENT = StudentConfig(
    schedule=BRIEF, refresh_steps=20, rollout_queries=12, documents_per_query=4,
    predicts="query_positions", positions_per_query=3,
)  # fmt: skip


@given(st.lists(st.integers(1, 9), min_size=1), st.integers(0, 6), st.integers(0, 99))
def test_positions_are_distinct_tokens_before_the_answer(lengths, count, seed) -> None:
    rows = [[0] * length for length in lengths]
    positions = draw_positions(rows, count, np.random.default_rng(seed))
    assert positions.shape == (len(rows), count)
    for row, drawn in zip(rows, positions.tolist(), strict=True):
        kept = [position for position in drawn if position >= 0]
        assert len(kept) == min(count, len(row) - 1)
        assert drawn == [*sorted(set(kept)), *[-1] * (count - len(kept))]
        assert all(position < len(row) - 1 for position in kept)


def test_the_teachers_states_there_are_those_of_the_whole_sequence() -> None:
    positions = draw_positions(QUERY_IDS, 4, np.random.default_rng(0))
    states, margins, elsewhere = read_by_teacher(TEACHER, EXAMPLES, QUERY_IDS, DOCUMENTS, positions)
    assert (elsewhere.shape, elsewhere.dtype) == ((5, 4, 3, 32), np.float16)
    none = np.zeros((5, 0), dtype=np.int64)
    alone = read_by_teacher(TEACHER, EXAMPLES, QUERY_IDS, DOCUMENTS, none)
    for found, expected in zip((states, margins), alone, strict=False):
        np.testing.assert_array_equal(found, expected)
    assert alone[2].size == 0
    for row, query in enumerate(QUERY_IDS):
        for column, document in enumerate(DOCUMENTS[row]):
            for place, position in enumerate(positions[row]):
                if position < 0:
                    continue
                cut = [*EXAMPLES.document_ids[document], *query[: position + 1]]
                with torch.inference_mode():
                    expected = BACKBONE.last_states([cut])[0].numpy()
                np.testing.assert_allclose(
                    elsewhere[row, place, column], expected, rtol=2e-3, atol=2e-3
                )


def test_states_at_positions_are_last_states_of_what_comes_before() -> None:
    positions = np.array([[0, 2], [1, 1], [2, 0], [3, 2], [0, 1]])
    with torch.inference_mode():
        found = BACKBONE.states_at(QUERY_IDS, positions)
        for row, places in enumerate(positions):
            cuts = [QUERY_IDS[row][: place + 1] for place in places]
            torch.testing.assert_close(found[row], BACKBONE.last_states(cuts), atol=1e-5, rtol=0)


def test_states_too_large_for_half_precision_are_an_error(monkeypatch) -> None:
    positions = draw_positions(QUERY_IDS, 1, np.random.default_rng(0))
    whole = TEACHER.pair_states

    def huge(*arguments, **options):
        states, e_d = whole(*arguments, **options)
        return 1e6 * states, e_d

    monkeypatch.setattr(TEACHER, "pair_states", huge)
    with pytest.raises(ModelError, match=r"half precision.*student.predicts"):
        read_by_teacher(TEACHER, EXAMPLES, QUERY_IDS, DOCUMENTS, positions)


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_the_query_side_is_learnt_at_its_other_tokens_too(tmp_path, cosine_scale) -> None:
    """Where the MSE sees them it fits them better, and vectors still multiply to margins."""
    teacher = GenerativeReranker(BACKBONE, cosine_scale)
    errors = {}
    for predicts in ("answer", "query_positions"):
        config = STUDENT.model_copy(
            update={
                "predicts": predicts,
                "anchor_weight": 0.0,
                "listwise_kl_weight": 0.0,
                "reverse_kl_weight": 0.0,
                # From the cosine an untrained backbone's states start far off.
                "skip": bool(cosine_scale),
            }
        )
        student = Student(BACKBONE, make_predictor(BACKBONE.dimension, config, RUNTIME.seed))
        (tmp_path / predicts).mkdir()
        distill(teacher, student, EXAMPLES, config, RUNTIME, tmp_path / predicts)
        errors[predicts] = _error_elsewhere(student)
        texts = list(EXAMPLES.queries[:5])
        product = student.encode_queries(texts) @ student.encode_documents(DATASET.documents).T
        np.testing.assert_allclose(product, student.margin(texts, DATASET.documents), atol=1e-4)
    if not cosine_scale:
        assert errors["query_positions"] < 0.9 * errors["answer"]
    # What is stored is what the settings allow, however long the queries are.
    stored = RollOuts(**load_file(tmp_path / "query_positions" / "rollouts-0000.safetensors"))
    assert stored.position_states.nbytes == 12 * 3 * 4 * BACKBONE.dimension * 2
    assert (
        RollOuts(**load_file(tmp_path / "answer/rollouts-0000.safetensors")).position_states.nbytes
        == 0
    )


def _error_elsewhere(student: Student) -> float:
    """MSE at every other token of some queries, given every document."""
    rows, documents = list(EXAMPLES.query_ids[20:26]), range(len(EXAMPLES.documents))
    shortest = min(map(len, rows))
    positions = np.tile(np.arange(shortest - 1), (len(rows), 1))
    every = np.tile(np.array(documents), (len(rows), 1))
    *_, targets = read_by_teacher(TEACHER, EXAMPLES, rows, every, positions)
    with torch.inference_mode():
        e_q = BACKBONE.states_at(BACKBONE.prompt.alone(rows), positions).flatten(0, 1)
        e_d = BACKBONE.last_states(list(EXAMPLES.document_ids)).expand(len(e_q), -1, -1)
        states = student.predictor.states(e_q, e_d)
    return float(((states - torch.from_numpy(targets).flatten(0, 1)) ** 2).mean())


def test_a_query_side_of_its_own_is_trained_at_its_other_tokens(tmp_path) -> None:
    for folder in ("teacher", "checkpoints"):
        (tmp_path / folder).mkdir()
    BACKBONE.save(tmp_path / "teacher")
    own = Backbone.load(tmp_path / "teacher", RUNTIME)
    config = STUDENT.model_copy(update={"query_encoder": "lora", "mse_weight": 5.0})
    student = Student(BACKBONE, make_predictor(BACKBONE.dimension, config, 1))
    student.adapt_queries(own, LoraConfig(rank=2), RUNTIME.seed)
    history = distill(TEACHER, student, EXAMPLES, config, RUNTIME, tmp_path / "checkpoints")
    assert history[-1]["loss_mse"] < history[0]["loss_mse"]
