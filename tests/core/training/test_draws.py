"""What a training step draws: candidates, in-batch documents, queries."""

from dataclasses import replace

import numpy as np
import torch

from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.negatives import in_batch_documents
from rabtriever_core.training.pairs import candidates, draw_pairs
from rabtriever_core.training.rollouts import draw_candidates
from rabtriever_core.training.steps import queries_of_step
from tests.core.small import small_backbone
from tests.core.training.short import DATASET, TEACHER, examples_of


def test_candidates_hold_a_positive_hard_negatives_and_no_other_relevant_document() -> None:
    examples = examples_of(small_backbone(DATASET))
    mined = [np.array([d for d in (0, 5, 7, 11) if d not in r]) for r in examples.relevant]
    drawn = candidates(examples, [0, 9, 17], mined, 6, 0.6, np.random.default_rng(0))
    assert drawn.shape == (3, TEACHER.documents_per_query)
    for query, row in zip((0, 9, 17), drawn.tolist(), strict=True):
        assert len(set(row)) == len(row)
        assert set(row) & examples.relevant[query] == {row[0]}
        assert len(set(row) & set(mined[query].tolist())) >= 3


def test_in_batch_documents_are_right_or_hard_and_relevant_to_some_query() -> None:
    examples = examples_of(small_backbone(DATASET))
    never_right = 11
    examples = replace(examples, relevant=[r - {never_right} or {0} for r in examples.relevant])
    mined = [np.array([d for d in (0, 5, never_right) if d not in r]) for r in examples.relevant]
    queries = [0, 9, 17]
    right = [min(examples.relevant[q]) for q in queries]
    for given, count, hard in ((None, 3, []), (mined, 0, []), (mined, 3, [5])):
        rng = np.random.default_rng(0)
        assert in_batch_documents(examples, queries, given, count, rng) == right + hard


def test_small_pools_are_used_whole() -> None:
    examples = examples_of(small_backbone(DATASET))
    drawn = candidates(examples, [3, 4], None, 50, 0.6, np.random.default_rng(0))
    assert drawn.tolist() == [list(range(12))] * 2


def test_candidate_draws() -> None:
    scores = np.zeros((200, 10), dtype=np.float32)
    scores[:, 3] = 8.0
    rng = np.random.default_rng(0)
    drawn = draw_candidates(scores, 4, 1.0, 0.25, rng)
    assert drawn.shape == (200, 4)
    assert all(len(set(row)) == 4 for row in drawn.tolist())
    assert (drawn == 3).any(axis=1).mean() > 0.98
    assert set(drawn[:, -1].tolist()) > {0, 9}
    assert draw_candidates(scores, 99, 1.0, 0.25, rng).shape == (200, 10)


def test_every_query_is_met_once_an_epoch() -> None:
    met = np.concatenate([queries_of_step(10, 4, step, seed=1) for step in range(5)])
    assert sorted(met[:10]) == sorted(met[10:20]) == list(range(10))
    assert len(queries_of_step(3, 8, 0, seed=1)) == 8


def test_trained_margins_are_those_of_reading_alone() -> None:
    backbone = small_backbone(DATASET)
    pairs = draw_pairs(examples_of(backbone), None, TEACHER, 1, 0)
    with torch.no_grad():
        alone, *_ = pairs.read(GenerativeReranker(backbone))
        beside_cosine, e_q, e_d = pairs.read(GenerativeReranker(backbone, 20.0), (1,))
    torch.testing.assert_close(beside_cosine, alone, atol=1e-5, rtol=0)
    assert (len(e_q), len(e_d)) == (2, 2)
