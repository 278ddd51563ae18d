"""Models that people use work as a whole; what the method cannot use is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from rabtriever_core.config import BackboneConfig, LoraConfig, PromptConfig, RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import Backbone, pretrained_backbone
from rabtriever_core.models.document_prefixes import DocumentPrefixes
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.suitability import check_suitable
from tests.core.checkpoints import (
    CHATML,
    SHAPE,
    byte_level_tokenizer,
    save,
    sentencepiece_tokenizer,
)
from tests.core.small import RUNTIME

WINDOW = 24
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16}),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM, {}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": WINDOW}),
    "gemma3": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        {"head_dim": 16, "sliding_window": WINDOW, "num_hidden_layers": 7},
    ),
    "qwen2 with a window": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2},
    ),
}
TOKENIZERS = {
    "byte-level": lambda: byte_level_tokenizer(),
    "byte-level, no pad, bos": lambda: byte_level_tokenizer(pad=False, bos=True),
    "sentencepiece": lambda: sentencepiece_tokenizer(),
    "sentencepiece, no pad, no bos": lambda: sentencepiece_tokenizer(pad=False, bos=False),
}
LORA = LoraConfig(rank=2)
TEXTS = ["a", "a calm voice in the night, suggest a pause " * 3, "voice " * 9, "Query: <s> è 中 T"]
DOCUMENTS = [Document(str(n), text) for n, text in enumerate(TEXTS)]
QUERIES = ["a calm voice", "night " * 6, "è"]


def checkpoint(folder: Path, family: str, tokenizer: Any) -> Path:
    config_class, model_class, extra = FAMILIES[family]
    ids = {n: getattr(tokenizer, n) for n in ("bos_token_id", "eos_token_id", "pad_token_id")}
    # Margins that are about the texts: at the usual 0.02 they hardly differ.
    shape = SHAPE | {"vocab_size": len(tokenizer), "initializer_range": 0.2} | ids | extra
    torch.manual_seed(0)
    return save(folder, model_class(config_class(**shape)), tokenizer)


def suitable(
    folder: Path, runtime: RuntimeConfig = RUNTIME, lora: LoraConfig | None = LORA, **prompt: Any
) -> Backbone:
    config = BackboneConfig(model=str(folder))
    backbone = pretrained_backbone(config, PromptConfig(**prompt), runtime)
    check_suitable(backbone, f"backbone.model = {folder.name!r}", lora)
    return backbone


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_margins_are_those_of_whole_sequences(tmp_path: Path, family: str, tokenizer: str) -> None:
    made = suitable(checkpoint(tmp_path / "hub", family, TOKENIZERS[tokenizer]()))
    made.save(tmp_path / "artifact")
    backbone = Backbone.load(tmp_path / "artifact", RUNTIME)
    prompt = backbone.prompt
    documents, queries = prompt.documents(DOCUMENTS), prompt.queries(QUERIES)
    with torch.inference_mode():
        rows = [[backbone.last_states([d + q])[0] for d in documents] for q in queries]
        expected = (torch.stack([torch.stack(r) for r in rows]) @ made.answer_direction()).numpy()
    assert np.ptp(expected, axis=1).min() > 0.05
    if backbone.window is not None:
        assert max(map(len, documents)) > WINDOW  # a document alone is longer than a layer sees
    teacher = GenerativeReranker(backbone)
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(teacher.margins(QUERIES, DOCUMENTS), expected, **close)
    candidates = np.tile(np.arange(len(documents)), (len(queries), 1))
    found = teacher.candidate_margins(QUERIES, DOCUMENTS, candidates, None)
    np.testing.assert_allclose(found, expected, **close)
    prefixes = DocumentPrefixes(teacher, 2**30)
    for _ in range(2):
        found = np.stack([prefixes.margins(query, DOCUMENTS) for query in QUERIES])
        np.testing.assert_allclose(found, expected, **close)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_windows_under_another_attention(tmp_path: Path, family: str, attention: str) -> None:
    backbone = suitable(checkpoint(tmp_path, family, byte_level_tokenizer()))
    backbone.model.set_attn_implementation(attention)
    check_suitable(backbone, family, None)


def test_a_reranker_that_says_yes_or_no(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens(["yes", "no"])
    tokenizer.chat_template = CHATML
    folder = checkpoint(tmp_path, "qwen3", tokenizer)
    spec = suitable(folder, true_answer="yes", false_answer="no").prompt.spec
    assert tokenizer.convert_ids_to_tokens([spec.true_id, spec.false_id]) == ["yes", "no"]


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3"])
def test_bfloat16_is_no_reason_to_refuse(tmp_path: Path, family: str) -> None:
    folder = checkpoint(tmp_path, family, byte_level_tokenizer())
    suitable(folder, RUNTIME.model_copy(update={"precision": "bfloat16"}))


def test_large_logits_in_bfloat16_are_still_linear(tmp_path: Path) -> None:
    """Those of a real model are around 20, each rounded to 0.1."""
    backbone = suitable(checkpoint(tmp_path / "small", "llama", byte_level_tokenizer()))
    head, spec = backbone.model.get_output_embeddings().weight, backbone.prompt.spec
    rows = [[*spec.start, *spec.query_prefix, *spec.answer_suffix]]
    with torch.inference_mode():
        state = backbone.last_states(rows)[0]
        for row in (spec.true_id, spec.false_id):
            head[row] += 40 * state / (state @ state)
    save(tmp_path / "large", backbone.model, backbone.prompt.tokenizer)
    suitable(tmp_path / "large", RUNTIME.model_copy(update={"precision": "bfloat16"}))


def test_the_backbone_stays_as_it_is(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "gemma3", byte_level_tokenizer())
    config = BackboneConfig(model=str(folder))
    backbone = pretrained_backbone(config, PromptConfig(), RUNTIME)
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    asked = {name: weight.requires_grad for name, weight in backbone.model.named_parameters()}
    check_suitable(backbone, "own", LORA)
    after = backbone.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert {n: w.requires_grad for n, w in backbone.model.named_parameters()} == asked
    assert all(weight.grad is None for weight in backbone.model.parameters())
    assert not backbone.model.training


def hybrid(folder: Path) -> None:
    tokenizer = byte_level_tokenizer()
    linear = {"linear_num_value_heads": 2, "linear_num_key_heads": 2}
    linear |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    shape = SHAPE | {"vocab_size": len(tokenizer), "head_dim": 16} | linear
    save(folder, Qwen3_5ForCausalLM(Qwen3_5TextConfig(**shape)), tokenizer)


def both_ways(folder: Path) -> None:
    tokenizer = sentencepiece_tokenizer()
    shape = SHAPE | {"vocab_size": len(tokenizer), "head_dim": 16}
    config = Gemma3TextConfig(**shape, use_bidirectional_attention=True)
    save(folder, Gemma3ForCausalLM(config), tokenizer)


def an_encoder(folder: Path) -> None:
    tokenizer = byte_level_tokenizer()
    shape = {n: SHAPE[n] for n in SHAPE if n != "num_key_value_heads"}
    save(folder, BertLMHeadModel(BertConfig(vocab_size=len(tokenizer), **shape)), tokenizer)


def same_answers(folder: Path) -> None:
    tokenizer = byte_level_tokenizer()
    checkpoint(folder, "llama", tokenizer)
    model = LlamaForCausalLM.from_pretrained(folder)
    true, false = (tokenizer(f" {answer}")["input_ids"][0] for answer in "TF")
    model.get_output_embeddings().weight.data[true] = model.get_output_embeddings().weight[false]
    save(folder, model, tokenizer)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (hybrid, "sharing a document's keys and values between queries fails"),
        (both_ways, "reading texts of different lengths side by side fails"),
        (an_encoder, "its head is not plainly linear"),
        (same_answers, "can't tell them apart: set other answers"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path / "own")
    with pytest.raises(ModelError, match=said) as raised:
        suitable(tmp_path / "own")
    assert "own'" in str(raised.value) and "\n" not in str(raised.value)
    assert "choose" in str(raised.value) or "set other answers" in str(raised.value)


def test_adapters_that_find_no_layer(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "llama", byte_level_tokenizer())
    with pytest.raises(ModelError, match=r"backbone\.lora\.target_modules\) fails.*no_such"):
        suitable(folder, lora=LoraConfig(target_modules=("no_such",)))
    suitable(folder, lora=None)


def test_an_older_layout_works_too(tmp_path: Path) -> None:
    """GPT-2 calls its layers otherwise, and has a head of its own."""
    tokenizer = byte_level_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=512)
    folder = save(tmp_path / "gpt2", GPT2LMHeadModel(config), tokenizer)
    suitable(folder, lora=LoraConfig(rank=2, target_modules=("c_attn",)))
