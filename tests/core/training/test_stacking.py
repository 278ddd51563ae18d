"""Cosine and reading weighed on held-out queries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.retriever import document_states, query_states, unit_rows
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.stacking import best_weights, weigh_cosine_and_reading
from tests.core.small import small_backbone
from tests.core.training.short import DATASET


def _labels(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One right document per row, drawn from the softmax of scores."""
    drawn = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return np.arange(scores.shape[1])[None] == drawn[:, None]


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.integers(0, 2**16))
def test_the_weights_that_made_the_labels_are_found(a: float, b: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [2 * rng.normal(size=(4000, 6)) for _ in range(2)]
    found = best_weights(parts, _labels(a * parts[0] + b * parts[1], rng))
    assert found == pytest.approx([a, b], rel=0.15)


def test_noise_counts_for_little_but_is_not_silenced() -> None:
    rng = np.random.default_rng(3)
    good, noise = rng.normal(size=(2, 3000, 6))
    found = best_weights([good, 5 * noise], _labels(good, rng))
    assert found[0] == pytest.approx(1.0, rel=0.1)
    assert found[1] == 0.05


def test_margins_are_the_weighed_parts() -> None:
    teacher = GenerativeReranker(small_backbone(DATASET), 20.0)
    backbone = teacher.backbone
    queries = [DATASET.queries[query] for query in DATASET.qrels["dev"]]
    e_q = unit_rows(query_states(backbone, queries))
    cosines = 20 * e_q @ unit_rows(document_states(backbone, DATASET.documents)).T
    reading = teacher.margins(queries, DATASET.documents) - cosines
    direction = backbone.answer_direction()
    examples = Examples.of(DATASET, "dev", backbone.prompt)
    of_cosine, of_reading = weigh_cosine_and_reading(teacher, examples)
    assert (of_cosine, of_reading) != (1.0, 1.0)
    assert teacher.cosine_scale == pytest.approx(20 * of_cosine)
    weighed = teacher.margins(queries, DATASET.documents)
    np.testing.assert_allclose(weighed, of_cosine * cosines + of_reading * reading, atol=1e-3)
    np.testing.assert_allclose(
        backbone.answer_direction().detach(), of_reading * direction.detach(), atol=1e-6
    )


def test_where_every_document_is_right_nothing_is_fitted() -> None:
    teacher = GenerativeReranker(small_backbone(DATASET), 20.0)
    examples = Examples.of(DATASET, "dev", teacher.backbone.prompt)
    everything = frozenset(range(len(DATASET.documents)))
    object.__setattr__(examples, "relevant", [everything] * len(examples.queries))
    assert weigh_cosine_and_reading(teacher, examples) == (1.0, 1.0)
    assert teacher.cosine_scale == 20.0
