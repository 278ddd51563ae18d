"""A document's keys and values shared by its queries give the margins of the whole sequences."""

import numpy as np
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from rabtriever_core.config import PromptConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.backbone import Backbone, train_tokenizer
from rabtriever_core.models.document_prefixes import DocumentPrefixes
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.templates import make_prompt
from tests.core.small import small_dataset

DATASET = small_dataset()
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("test")[:5]] + ["x", "I miss " * 20]
TEXT = " ".join(document.full_text for document in DATASET.documents)
DOCUMENTS = [Document("long", TEXT * 9), Document("other", TEXT[::-1] * 9), Document("short", "y")]
LENGTH = 512
SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 1024, "tie_word_embeddings": True,
    # Margins that are really about the document: at the usual 0.02 they hardly differ.
    "initializer_range": 0.3,
}  # fmt: skip
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8}),
}


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request) -> Backbone:
    config_class, model_class, extra = FAMILIES[request.param]
    tokenizer = train_tokenizer([TEXT, *QUERIES], 400)
    torch.manual_seed(0)
    model = model_class(config_class(vocab_size=len(tokenizer), **SHAPE, **extra))
    config = PromptConfig(max_document_tokens=LENGTH)
    return Backbone(model.eval(), make_prompt(tokenizer, config))


def _uncached(backbone: Backbone, scale: float) -> np.ndarray:
    """Every pair read as one sequence, the cosine from states read one by one."""
    prompt = backbone.prompt
    queries, documents = prompt.queries(QUERIES), prompt.documents(DOCUMENTS)
    with torch.inference_mode():
        states = [[backbone.last_states([d + q])[0] for d in documents] for q in queries]
        margins = torch.stack([torch.stack(row) for row in states]) @ backbone.answer_direction()
        e_q = torch.cat([backbone.last_states([row]) for row in prompt.alone(queries)])
        e_d = torch.cat([backbone.last_states([row]) for row in documents])
        cosines = torch.nn.functional.cosine_similarity(e_q[:, None], e_d[None], dim=-1)
    whole: np.ndarray = (margins + scale * cosines).numpy()
    return whole


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_margins_of_long_documents_are_those_without_a_cache(backbone, cosine_scale) -> None:
    lengths = [len(row) for row in backbone.prompt.documents(DOCUMENTS)]
    assert lengths[:2] == [LENGTH + 1] * 2  # the template's token comes on top
    expected = _uncached(backbone, cosine_scale)
    assert np.ptp(expected, axis=1).min() > 0.1
    teacher = GenerativeReranker(backbone, cosine_scale)
    for batch_tokens in (8192, 64):
        margins = teacher.margins(QUERIES, DOCUMENTS, batch_tokens=batch_tokens)
        np.testing.assert_allclose(margins, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_documents_of_any_length_in_one_batch(backbone, cosine_scale) -> None:
    teacher = GenerativeReranker(backbone, cosine_scale)
    prompt, n, k = backbone.prompt, len(QUERIES), len(DOCUMENTS)
    candidates = np.tile(np.arange(k)[::-1], (n, 1)).astype(np.int64)
    margins = np.full((n, k), np.nan)
    ids = prompt.documents(DOCUMENTS), prompt.queries(QUERIES)
    apart = teacher.read_apart(QUERIES, ids[1], DOCUMENTS)
    for rows, columns, _, scores in teacher.candidate_states(
        *ids, candidates, "pairs", apart, batch_pairs=5
    ):
        margins[rows, columns] = scores.numpy()
    expected = _uncached(backbone, cosine_scale)[:, ::-1]
    np.testing.assert_allclose(margins, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_documents_kept_between_queries(backbone, cosine_scale) -> None:
    """Read before, read now, or forgotten meanwhile: the margins are those without a cache."""
    expected = _uncached(backbone, cosine_scale)
    teacher = GenerativeReranker(backbone, cosine_scale)
    for max_bytes in (2**30, 60_000, 0):
        prefixes = DocumentPrefixes(teacher, max_bytes)
        for picked in ([0], [2, 0], [1, 2, 0, 2], [2], [0, 1, 2]):
            for number, query in enumerate(QUERIES):
                margins = prefixes.margins(query, [DOCUMENTS[d] for d in picked])
                np.testing.assert_allclose(
                    margins, expected[number, picked], rtol=1e-4, atol=1e-4, err_msg=str(picked)
                )
        assert prefixes._bytes <= max_bytes
        assert (len(prefixes) == 3) == (max_bytes == 2**30)
    assert DocumentPrefixes(teacher, 0).margins("x", []).shape == (0,)
