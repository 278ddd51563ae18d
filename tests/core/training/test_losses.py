"""Losses against hand-computed values, and the properties that training rests on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rabtriever_core.training.losses import (
    answer_cross_entropy,
    dpo_answer,
    forward_kl_listwise,
    info_nce,
    kl_binary,
    listwise,
    margin_mse,
    reverse_kl_listwise,
    supervised,
)

MARGINS = hnp.arrays(np.float32, (3, 5), elements=st.floats(-20, 20, width=32))


@settings(max_examples=50, deadline=None)
@given(MARGINS, MARGINS)
def test_divergences_are_positive_and_zero_only_for_equals(a, b) -> None:
    student, teacher = torch.from_numpy(a), torch.from_numpy(b)
    for divergence in (kl_binary, reverse_kl_listwise):
        assert float(divergence(student, teacher)) >= -1e-5
        assert abs(float(divergence(teacher, teacher))) < 1e-5


def test_reverse_kl_is_the_students_expectation() -> None:
    student, teacher = torch.tensor([0.3, -1.2]), torch.tensor([1.0, 0.4])
    p, q = torch.sigmoid(student), torch.sigmoid(teacher)
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    torch.testing.assert_close(kl_binary(student, teacher), expected)


def test_answer_cross_entropy_weighs_both_answers_alike() -> None:
    margins = torch.tensor([[2.0, -1.0, -1.0, -1.0]])
    relevant = torch.tensor([[True, False, False, False]])
    expected = 0.5 * (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)))
    np.testing.assert_allclose(float(answer_cross_entropy(margins, relevant)), expected, rtol=1e-5)


def test_listwise_counts_every_relevant_document() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5]])
    both = listwise(scores, torch.tensor([[True, True, False]]))
    expected = -torch.log(torch.softmax(scores, -1)[0, :2].sum())
    torch.testing.assert_close(both, expected)
    everything = listwise(scores, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(everything, torch.tensor(0.0))


def test_info_nce_ignores_length() -> None:
    e_q, e_d = torch.randn(4, 8), torch.randn(4, 8)
    relevant = torch.eye(4, dtype=torch.bool)
    everything = torch.ones(4, 4, dtype=torch.bool)
    torch.testing.assert_close(
        info_nce(e_q, e_d, relevant, everything, 0.1),
        info_nce(3 * e_q, 0.2 * e_d, relevant, everything, 0.1),
    )


def test_info_nce_does_not_see_what_is_not_counted() -> None:
    e_q, e_d = torch.randn(4, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
    relevant = torch.eye(4, 5, dtype=torch.bool)
    counted = torch.ones(4, 5, dtype=torch.bool)
    counted[:, 4] = False
    counted[0, 1] = False
    loss = info_nce(e_q, e_d, relevant, counted, 0.1)
    alone = [
        info_nce(e_q[i : i + 1], e_d[counted[i]], relevant[i : i + 1, counted[i]], seen, 0.1)
        for i, seen in (
            (i, torch.ones(1, int(counted[i].sum()), dtype=torch.bool)) for i in range(4)
        )
    ]
    torch.testing.assert_close(loss, torch.stack(alone).mean())
    loss.backward()
    assert e_d.grad is not None
    assert not e_d.grad[4].any()
    assert e_d.grad.isfinite().all()


def test_documents_without_a_training_query_are_no_negatives() -> None:
    relevant = torch.tensor([[True, False, False], [False, True, False]])
    to_some = torch.tensor([[True, True, False], [True, True, False]])
    margins = torch.randn(2, 3)
    shifted = margins + torch.tensor([0.0, 0.0, 9.0])
    for before, after in zip(
        supervised(margins, relevant, to_some), supervised(shifted, relevant, to_some), strict=True
    ):
        torch.testing.assert_close(before, after)


def test_labels_of_one_class_give_a_finite_loss() -> None:
    margins = torch.randn(2, 3)
    everything = torch.ones(2, 3, dtype=torch.bool)
    assert torch.isfinite(answer_cross_entropy(margins, everything))


def test_dpo_is_written_on_log_probabilities_of_both_answers() -> None:
    logits, reference = torch.randn(6, 2), torch.randn(6, 2)
    relevant = torch.tensor([True, False, True, False, True, False])
    log_ratio = torch.log_softmax(logits, -1) - torch.log_softmax(reference, -1)
    chosen = torch.where(relevant, log_ratio[:, 0], log_ratio[:, 1])
    rejected = torch.where(relevant, log_ratio[:, 1], log_ratio[:, 0])
    expected = -torch.nn.functional.logsigmoid(0.3 * (chosen - rejected)).mean()
    margins, before = (row[:, 0] - row[:, 1] for row in (logits, reference))
    torch.testing.assert_close(dpo_answer(margins, before, relevant, 0.3), expected)


def _peer_loss(name: str, scores: torch.Tensor, teacher: torch.Tensor, **arguments: float):
    """A loss of sentence-transformers on given scores: its embeddings stand for them."""
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    loss = getattr(losses, name)(
        None, similarity_fct=lambda _, candidate: candidate[:, 0], **arguments
    )
    columns = [scores[:, i : i + 1] for i in range(scores.shape[1])]
    return loss.compute_loss_from_embeddings([scores[:, :1], *columns], teacher)


@settings(max_examples=25, deadline=None)
@given(MARGINS, MARGINS)
def test_margin_mse_is_sentence_transformers(a, b) -> None:
    student, teacher = torch.from_numpy(a), torch.from_numpy(b)
    expected = _peer_loss("MarginMSELoss", student, teacher)
    torch.testing.assert_close(margin_mse(student, teacher), expected)


@settings(max_examples=25, deadline=None)
@given(MARGINS, MARGINS, st.sampled_from([0.5, 1.0, 3.0]))
def test_forward_kl_is_sentence_transformers(a, b, temperature) -> None:
    student, teacher = torch.from_numpy(a), torch.from_numpy(b)
    expected = _peer_loss("DistillKLDivLoss", student, teacher, temperature=temperature)
    torch.testing.assert_close(forward_kl_listwise(student, teacher, temperature), expected)


def test_margin_mse_by_hand_and_blind_to_a_querys_level() -> None:
    student, teacher = torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([[5.0, 4.0, 1.0]])
    # Margins 2 and 3 against 1 and 4.
    torch.testing.assert_close(margin_mse(student, teacher), torch.tensor(1.0))
    torch.testing.assert_close(margin_mse(student + 7, teacher), torch.tensor(1.0))


def test_forward_kl_is_the_teachers_expectation() -> None:
    student, teacher = torch.tensor([[0.3, -1.2]]), torch.tensor([[1.0, 0.4]])
    p, q = torch.softmax(student, -1), torch.softmax(teacher, -1)
    expected = (q * (q / p).log()).sum()
    torch.testing.assert_close(forward_kl_listwise(student, teacher), expected)
