"""The linear reranker learns on the teacher's candidates; its cached scores are the plain ones."""

import numpy as np
import pytest
import torch

from rabtriever_core.config import LoraConfig
from rabtriever_core.lab.baselines import linear_reranker as module
from rabtriever_core.lab.baselines.linear_reranker import LinearReranker, train_linear_reranker
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training import pairs, sft
from rabtriever_core.training.pairs import draw_pairs
from rabtriever_core.training.steps import start_step
from tests.core.lab.baselines.plans import DATASET, TEACHER, fresh, plan
from tests.core.small import RUNTIME

QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("test")[:4]]


def test_scores_are_the_head_on_the_last_state_of_the_whole_sequence() -> None:
    backbone, _ = fresh()
    reranker = LinearReranker.fresh(backbone, 5)
    prompt = backbone.prompt
    rows = [d + q for q in prompt.queries(QUERIES) for d in prompt.documents(DATASET.documents)]
    with torch.inference_mode():
        expected = reranker.head(backbone.last_states(rows)).view(len(QUERIES), -1).numpy()
    np.testing.assert_allclose(reranker.margins(QUERIES, DATASET.documents), expected, atol=1e-5)


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2, alpha=4)])
def test_learns_and_round_trips(lora, tmp_path) -> None:
    backbone, examples = fresh()
    reranker = LinearReranker.fresh(backbone, RUNTIME.seed)
    before = reranker.head.weight.detach().clone()
    history = train_linear_reranker(reranker, examples, plan(tmp_path / "work", lora=lora))
    assert history[-1]["loss"] < history[0]["loss"]
    assert not torch.equal(reranker.head.weight, before)
    reranker.save(tmp_path)
    loaded = LinearReranker.load(tmp_path, RUNTIME)
    np.testing.assert_allclose(
        loaded.margins(QUERIES, DATASET.documents),
        reranker.margins(QUERIES, DATASET.documents),
        atol=1e-5,
    )


def test_meets_the_queries_and_candidates_of_the_teacher(tmp_path, monkeypatch) -> None:
    drawn: dict[str, list[object]] = {"linear": [], "teacher": []}

    def spy(name):
        def draw(*arguments):
            found = draw_pairs(*arguments)
            drawn[name].append((found.queries, found.drawn.tolist()))
            return found

        return draw

    monkeypatch.setattr(module, "draw_pairs", spy("linear"))
    monkeypatch.setattr(sft, "draw_pairs", spy("teacher"))
    backbone, examples = fresh()
    train_linear_reranker(LinearReranker.fresh(backbone, 1), examples, plan(tmp_path / "a"))
    backbone, examples = fresh()
    teacher = GenerativeReranker(backbone)
    sft.fine_tune_teacher(teacher, examples, TEACHER, RUNTIME, tmp_path / "b", None)
    assert len(drawn["teacher"]) == 30
    assert drawn["linear"] == drawn["teacher"]


def test_a_document_that_is_relevant_to_no_query_is_no_negative(tmp_path, monkeypatch) -> None:
    """With it as the only other candidate there is nothing to learn."""
    backbone, examples = fresh()
    never_right = len(DATASET.documents) - 1
    assert never_right not in examples.relevant_documents

    def draw(examples, queries, mined, count, mined_share, rng):
        return np.array([[p, never_right] for p in examples.positives(queries, rng)])

    monkeypatch.setattr(pairs, "candidates", draw)
    history = train_linear_reranker(LinearReranker.fresh(backbone, 1), examples, plan(tmp_path))
    assert all(row["loss"] == 0 for row in history)
    assert start_step("teacher", examples, TEACHER.schedule, RUNTIME.seed, 0)[1]
