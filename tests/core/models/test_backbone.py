"""Tiny backbones are deterministic, pretrained ones load from folders, misfits are refused."""

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from rabtriever_core.config import BackboneConfig, PromptConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import Backbone, pretrained_backbone, train_tokenizer
from tests.core.small import RUNTIME, TINY, small_backbone, small_dataset

SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 64, "max_position_embeddings": 256,
}  # fmt: skip


def _checkpoint(folder, config_class, model_class, **extra):
    """A hub-format checkpoint made on the spot."""
    tokenizer = train_tokenizer(["Document: Query: Answer: T F T. F. calm voice"] * 3, 400)
    torch.manual_seed(0)
    model = model_class(config_class(vocab_size=len(tokenizer), **SHAPE, **extra))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return BackboneConfig(model=str(folder))


def test_tiny_backbone_is_deterministic_in_the_seed() -> None:
    first, second, other = (small_backbone(small_dataset(), seed) for seed in (3, 3, 4))
    weights = [b.model.get_output_embeddings().weight for b in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_save_and_load_keep_the_states(tmp_path, architecture) -> None:
    from rabtriever_core.models.backbone import tiny_backbone

    config = BackboneConfig(tiny=TINY.model_copy(update={"architecture": architecture}))
    backbone = tiny_backbone(config, PromptConfig(), ["some words to learn"] * 5, 1)
    backbone.model.eval()
    backbone.save(tmp_path)
    loaded = Backbone.load(tmp_path, RUNTIME)
    rows = backbone.prompt.alone(backbone.prompt.queries(["some words", "learn"]))
    with torch.inference_mode():
        torch.testing.assert_close(loaded.last_states(rows), backbone.last_states(rows))


@pytest.mark.parametrize(
    ("config", "model"), [(LlamaConfig, LlamaForCausalLM), (Qwen2Config, Qwen2ForCausalLM)]
)
def test_pretrained_backbone_from_a_folder(tmp_path, config, model) -> None:
    prompt = PromptConfig(template="paper")
    backbone = pretrained_backbone(_checkpoint(tmp_path, config, model), prompt, RUNTIME)
    assert backbone.dimension == 32
    assert len(backbone.prompt.spec.answer_suffix) > 3  # the paper's question, spelt out


def test_capped_logits_are_refused(tmp_path) -> None:
    config = _checkpoint(
        tmp_path, Gemma2Config, Gemma2ForCausalLM, head_dim=16, final_logit_softcapping=1e-3
    )
    with pytest.raises(ModelError, match="not plainly linear"):
        pretrained_backbone(config, PromptConfig(), RUNTIME)


def test_missing_backbone_says_what_to_give(tmp_path) -> None:
    config = BackboneConfig(model=str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"backbone\.model = .*nowhere.*cannot be loaded"):
        pretrained_backbone(config, PromptConfig(), RUNTIME)


@pytest.mark.parametrize(
    ("device", "precision", "rounding"),
    [("cpu", "high", 0.0), ("cuda", "highest", 0.0), ("cuda", "high", 2.0**-10)],
)
def test_only_tf32_on_a_gpu_rounds(monkeypatch, device, precision, rounding) -> None:
    backbone = small_backbone(small_dataset())
    monkeypatch.setattr(Backbone, "device", torch.device(device))
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    assert backbone.rounding == rounding
