"""Cosine and reading weighed on held-out queries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import BiEncoderConfig
from rabtriever_core.models.arrays import unit_rows
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.states import document_states, query_states
from rabtriever_core.training import stacking
from rabtriever_core.training.averaging import AveragedWithStart
from rabtriever_core.training.bi_encoder import train_bi_encoder
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.stacking import (
    best_weights,
    choose_start_share,
    weigh_cosine_and_reading,
)
from tests.core.small import RUNTIME, small_backbone
from tests.core.training.short import DATASET, SHORT, examples_of


def _labels(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One right document per row, drawn from the softmax of scores."""
    drawn = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return np.arange(scores.shape[1])[None] == drawn[:, None]


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.integers(0, 2**16))
def test_the_weights_that_made_the_labels_are_found(a: float, b: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [2 * rng.normal(size=(4000, 6)) for _ in range(2)]
    found, loss = best_weights(parts, _labels(a * parts[0] + b * parts[1], rng))
    assert found == pytest.approx([a, b], rel=0.15)
    assert 0 < loss < np.log(6)


def test_noise_counts_for_little_but_is_not_silenced() -> None:
    rng = np.random.default_rng(3)
    good, noise = rng.normal(size=(2, 3000, 6))
    found, _ = best_weights([good, 5 * noise], _labels(good, rng))
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
    found = weigh_cosine_and_reading(teacher, examples)
    of_cosine, of_reading = found.cosine, found.reading
    assert (of_cosine, of_reading) != (1.0, 1.0)
    assert teacher.cosine_scale == pytest.approx(20 * of_cosine)
    weighed = teacher.margins(queries, DATASET.documents)
    np.testing.assert_allclose(weighed, of_cosine * cosines + of_reading * reading, atol=1e-3)
    np.testing.assert_allclose(
        backbone.answer_direction().detach(), of_reading * direction.detach(), atol=1e-6
    )
    for query, row in zip(queries, weighed, strict=True):
        margins = dict(zip((d.id for d in DATASET.documents), row.tolist(), strict=True))
        assert len(found.margins[query]) == min(stacking.CANDIDATES, len(margins))
        for document, margin in found.margins[query].items():
            assert margin == pytest.approx(margins[document], abs=1e-3)


def _all_right(teacher: GenerativeReranker) -> Examples:
    examples = Examples.of(DATASET, "dev", teacher.backbone.prompt)
    everything = frozenset(range(len(DATASET.documents)))
    return replace(examples, relevant=[everything] * len(examples.queries))


def test_where_every_document_is_right_nothing_is_fitted() -> None:
    teacher = GenerativeReranker(small_backbone(DATASET), 20.0)
    assert weigh_cosine_and_reading(teacher, _all_right(teacher)) == stacking.Weighed(1.0, 1.0)
    assert teacher.cosine_scale == 20.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone that knows which document is right, in a folder."""
    backbone = small_backbone(DATASET)
    folder = tmp_path_factory.mktemp("trained")
    config = BiEncoderConfig(schedule=SHORT, hard_negatives=0)
    train_bi_encoder(backbone, examples_of(backbone), config, RUNTIME, folder / "checkpoints")
    backbone.save(folder / "backbone")
    return folder / "backbone"


def _spoil(backbone: Backbone) -> Backbone:
    """Noise on all weights: what training that taught nothing leaves."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in backbone.model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return backbone


@pytest.mark.parametrize("what_is_spoilt", ["start", "trained"])
def test_dev_chooses_the_share_that_was_not_spoilt(trained: Path, what_is_spoilt: str) -> None:
    good, spoilt = Backbone.load(trained, RUNTIME), _spoil(Backbone.load(trained, RUNTIME))
    backbone, start = (good, spoilt) if what_is_spoilt == "start" else (spoilt, good)
    teacher = GenerativeReranker(backbone, 20.0)
    examples = Examples.of(DATASET, "dev", backbone.prompt)
    averaged = AveragedWithStart(backbone.model, start.model)
    best, losses = choose_start_share(teacher, averaged, (0.0, 0.5, 1.0), examples)
    assert losses[best] == min(losses.values())
    assert best == (0.0 if what_is_spoilt == "start" else 1.0)
    as_trained = dict(Backbone.load(trained, RUNTIME).model.named_parameters())
    for name, weight in backbone.model.named_parameters():
        assert weight.equal(as_trained[name])


def test_a_share_loses_as_much_alone_as_among_others(trained: Path) -> None:
    teacher = GenerativeReranker(Backbone.load(trained, RUNTIME), 20.0)
    direction = teacher.backbone.answer_direction().detach().clone()
    examples = Examples.of(DATASET, "dev", teacher.backbone.prompt)
    averaged = AveragedWithStart(teacher.backbone.model, small_backbone(DATASET).model)
    _, alone = choose_start_share(teacher, averaged, (0.0,), examples)
    assert teacher.cosine_scale == 20.0  # the weights it was judged with are not kept
    assert teacher.backbone.answer_direction().equal(direction)
    _, among = choose_start_share(teacher, averaged, (0.0, 0.25, 0.5, 1.0), examples)
    assert among[0.0] == alone[0.0]
    assert len(set(among.values())) == 4


def test_where_every_document_is_right_the_first_share_is_taken(trained: Path) -> None:
    teacher = GenerativeReranker(Backbone.load(trained, RUNTIME), 20.0)
    averaged = AveragedWithStart(teacher.backbone.model, small_backbone(DATASET).model)
    best, losses = choose_start_share(teacher, averaged, (0.25, 1.0), _all_right(teacher))
    assert (best, losses) == (0.25, {0.25: 0.0, 1.0: 0.0})


def test_a_share_is_judged_by_the_starts_nearest_and_the_right(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacking, "CANDIDATES", 3)
    teacher, start = (Backbone.load(trained, RUNTIME), _spoil(Backbone.load(trained, RUNTIME)))
    reranker = GenerativeReranker(teacher, 20.0)
    # Few queries, so that their candidates leave documents out.
    examples = Examples.of(DATASET, "dev", teacher.prompt).only(np.array([4, 1]))
    averaged = AveragedWithStart(teacher.model, start.model)
    _, losses = choose_start_share(reranker, averaged, (0.5, 1.0), examples)

    def cosines() -> np.ndarray:
        e_q = unit_rows(query_states(teacher, examples.queries))
        return e_q @ unit_rows(document_states(teacher, DATASET.documents)).T

    averaged.move(1.0)
    near = cosines()
    right = np.array([[d in right for d in range(12)] for right in examples.relevant])
    candidates = np.argsort(-(near + 10 * right), axis=1)[:, :3]
    averaged.move(0.5)
    rows = np.arange(2)[:, None]
    of_cosine = 20 * cosines()[rows, candidates]
    margins = reranker.margins(examples.queries, DATASET.documents)[rows, candidates]
    _, expected = best_weights([of_cosine, margins - of_cosine], right[rows, candidates])
    assert losses[0.5] == pytest.approx(expected, rel=1e-3)
