"""Batched = single, cached prefix = whole sequence, padding invisible."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rabtriever_core.config import BackboneConfig, PromptConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError
from rabtriever_core.models.arrays import unit_rows
from rabtriever_core.models.backbone import tiny_backbone
from rabtriever_core.models.reranker import RERANKER_FILE, GenerativeReranker
from rabtriever_core.models.states import document_states, query_states
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
BACKBONE = small_backbone(DATASET)
TEACHER = GenerativeReranker(BACKBONE)
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("test")[:5]] + ["x", "I " * 40]
DOCUMENTS = [*DATASET.documents[:4], Document("long", "calm voice " * 30), Document("short", "y")]


def _whole_sequence_logit(query: str, document: Document) -> float:
    prompt = BACKBONE.prompt
    ids = prompt.documents([document])[0] + prompt.queries([query])[0]
    with torch.inference_mode():
        logits = BACKBONE.model(input_ids=torch.tensor([ids])).logits[0, -1]
    return float(logits[prompt.spec.true_id] - logits[prompt.spec.false_id])


def test_margins_equal_the_language_models_logits() -> None:
    margins = TEACHER.margins(QUERIES, DOCUMENTS, batch_tokens=64)
    expected = [[_whole_sequence_logit(q, d) for d in DOCUMENTS] for q in QUERIES]
    assert margins.dtype == np.float32
    np.testing.assert_allclose(margins, expected, atol=1e-5)


def test_pairs_of_documents_of_different_length_in_one_batch() -> None:
    prompt = BACKBONE.prompt
    n, m = len(QUERIES), len(DOCUMENTS)
    with torch.inference_mode():
        states, e_d = TEACHER.pair_states(
            prompt.documents(DOCUMENTS),
            prompt.queries(QUERIES),
            np.tile(np.arange(m), n).tolist(),
            np.repeat(np.arange(n), m).tolist(),
        )
        alone = BACKBONE.last_states(prompt.documents(DOCUMENTS))
        margins = (states @ BACKBONE.answer_direction()).view(n, m).numpy()
    np.testing.assert_allclose(margins, TEACHER.margins(QUERIES, DOCUMENTS), atol=1e-5)
    np.testing.assert_allclose(e_d[0].numpy(), alone.numpy(), atol=1e-5)


def test_gradients_flow_through_the_shared_document() -> None:
    prompt = BACKBONE.prompt
    key = BACKBONE.body.layers[0].self_attn.k_proj.weight
    shared, _ = TEACHER.pair_states(
        prompt.documents(DOCUMENTS[:2]), prompt.queries(QUERIES[:2]), [0, 1, 0, 1], [0, 0, 1, 1]
    )
    gradient = torch.autograd.grad(shared.pow(2).sum(), key)[0]
    rows = [
        prompt.documents([d])[0] + prompt.queries([q])[0]
        for q in QUERIES[:2]
        for d in DOCUMENTS[:2]
    ]
    whole = BACKBONE.last_states(rows)
    expected = torch.autograd.grad(whole.pow(2).sum(), key)[0]
    torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-3)


def test_the_cosine_of_states_read_apart_is_part_of_the_margin() -> None:
    scaled = GenerativeReranker(BACKBONE, cosine_scale=20.0)
    e_q = unit_rows(query_states(BACKBONE, QUERIES))
    e_d = unit_rows(document_states(BACKBONE, DOCUMENTS))
    expected = TEACHER.margins(QUERIES, DOCUMENTS) + 20 * (e_q @ e_d.T)
    np.testing.assert_allclose(
        scaled.margins(QUERIES, DOCUMENTS, batch_tokens=64), expected, atol=1e-4
    )
    candidates = np.tile(np.arange(len(DOCUMENTS))[::-1], (len(QUERIES), 1))
    own = scaled.candidate_margins(QUERIES, DOCUMENTS, candidates, "test")
    np.testing.assert_allclose(own[:, ::-1], expected, atol=1e-4)
    with pytest.raises(ValueError, match="needs both"):
        scaled.scores(torch.zeros(2, 32))


def test_reading_more_at_once_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = GenerativeReranker(BACKBONE, cosine_scale=20.0)
    prompt = BACKBONE.prompt
    ids = prompt.documents(DOCUMENTS), prompt.queries(QUERIES)
    candidates = np.tile(np.arange(len(DOCUMENTS)), (len(QUERIES), 1))
    apart = scaled.read_apart(QUERIES, ids[1], DOCUMENTS)
    reads: list[int] = []
    original = GenerativeReranker.pair_states

    def counted(self: GenerativeReranker, *arguments: Any, **more: Any) -> Any:
        reads.append(len(arguments[2]))
        return original(self, *arguments, **more)

    monkeypatch.setattr(GenerativeReranker, "pair_states", counted)

    def read(multiple: int) -> tuple[list[np.ndarray], int]:
        reads.clear()
        monkeypatch.setattr(BACKBONE, "batch_multiple", multiple)
        found = [
            scaled.margins(QUERIES, DOCUMENTS, batch_tokens=64),
            np.concatenate(
                [
                    scores
                    for _, _, _, scores in scaled.candidate_states(
                        *ids, candidates, None, apart, batch_pairs=3
                    )
                ]
            ),
            query_states(BACKBONE, QUERIES, batch_size=1),
        ]
        return found, len(reads)

    (few, many_reads), (many, few_reads) = read(1), read(8)
    assert few_reads < many_reads
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_queries_are_read_alone_only_where_the_margin_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read a query alone")

    monkeypatch.setattr(BACKBONE.prompt, "alone", never)
    TEACHER.margins(QUERIES, DOCUMENTS)
    first = np.zeros((len(QUERIES), 1), dtype=np.int64)
    TEACHER.candidate_margins(QUERIES, DOCUMENTS, first, "test")
    with pytest.raises(AssertionError, match="read a query alone"):
        GenerativeReranker(BACKBONE, cosine_scale=1.0).margins(QUERIES, DOCUMENTS)


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_a_teacher_of_an_earlier_version_is_asked_for_again(
    content: str | None, tmp_path: Path
) -> None:
    GenerativeReranker(BACKBONE, cosine_scale=2.0).save(tmp_path)
    assert GenerativeReranker.load(tmp_path, RUNTIME).cosine_scale == 2.0
    (tmp_path / RERANKER_FILE).unlink()
    if content is not None:
        (tmp_path / RERANKER_FILE).write_text(content)
    with pytest.raises(ArtifactError, match=rf"{RERANKER_FILE}.*rabtriever run teacher --force"):
        GenerativeReranker.load(tmp_path, RUNTIME)


def test_probability_is_the_sigmoid_of_the_margin() -> None:
    margin = float(TEACHER.margins(QUERIES[:1], DOCUMENTS[:1])[0, 0])
    probability = TEACHER.probability(QUERIES[0], DOCUMENTS[0])
    assert probability == pytest.approx(1 / (1 + np.exp(-margin)))


def test_gradients_do_not_depend_on_the_order_of_threads() -> None:
    """Many pairs share a document: their gradients must add up in one order."""
    texts = [document.full_text for document in DATASET.documents]
    backbone = tiny_backbone(BackboneConfig(), PromptConfig(), texts, 3)
    reranker = GenerativeReranker(backbone)
    documents, queries = (
        backbone.prompt.documents(DATASET.documents),
        backbone.prompt.queries(texts),
    )
    pairs = np.random.default_rng(0).integers(len(texts), size=(2, 200))

    def gradient() -> torch.Tensor:
        backbone.model.zero_grad()
        states, _ = reranker.pair_states(documents, queries, *pairs.tolist())
        states.square().sum().backward()
        return backbone.body.layers[0].self_attn.k_proj.weight.grad.clone()

    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        first = gradient()
        assert all(torch.equal(gradient(), first) for _ in range(6))
    finally:
        torch.set_num_threads(threads)
