"""Tiny pretrained models made on the spot, in the forms that people have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

TEXTS = [
    "Document: Query: Answer: T F T. F. a calm voice in the night, Suggest a pause",
    "Can Query be appropriately replied to with Document? If so choose T, otherwise F.",
    "system user assistant Judge whether the document is an appropriate reply to the query.",
] * 4
SHAPE: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 64, "max_position_embeddings": 512,
}  # fmt: skip
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(*, pad: bool = True, bos: bool = False) -> Any:
    """As Llama 3, Qwen and SmolLM have them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<pad>", "<s>"]
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return _wrapped(tokenizer, eos="<|im_end|>", pad="<pad>" if pad else None, bos=bos)


def qwen3_tokenizer() -> Any:
    """With the rules of Qwen's, which join a line end to what stands before it (`?` + line end).

    Some of its markers are tokens that are not special.
    """
    like = Qwen2Tokenizer().backend_tokenizer
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer, tokenizer.decoder = like.normalizer, like.decoder
    tokenizer.pre_tokenizer = like.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    lines = [
        "yes no",
        'the answer can only be "yes" or "no".\nIn the night?\n<Query>: <Document>: ',
    ]
    tokenizer.train_from_iterator([*TEXTS, *lines * 4], trainer)
    tokenizer.add_tokens(["<think>", "</think>"])
    return _wrapped(tokenizer, eos="<|im_end|>", pad="<|endoftext|>", bos=False)


def sentencepiece_tokenizer(*, pad: bool = True, bos: bool = True) -> Any:
    """As Llama 2, Mistral and Gemma have them: words begin with ▁, unknown letters are bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))  # noqa: S106
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = ["<unk>", "<s>", "</s>", "<pad>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _wrapped(tokenizer, eos="</s>", pad="<pad>" if pad else None, bos=bos)


def _wrapped(tokenizer: Tokenizer, *, eos: str, pad: str | None, bos: bool) -> Any:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=eos,
        **({"pad_token": pad} if pad else {}),
        **({"bos_token": "<s>"} if bos else {}),
    )


def llama(vocabulary: int, **shape: Any) -> LlamaForCausalLM:
    """With random weights, wide apart, so that margins are about the texts."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        **(SHAPE | {"initializer_range": 0.3, "tie_word_embeddings": True} | shape),
    )
    return LlamaForCausalLM(config).eval()


def qwen3_reranker(folder: Path) -> Path:
    """A folder like Qwen3-Reranker's, with random weights."""
    tokenizer = qwen3_tokenizer()
    torch.manual_seed(0)
    shape = SHAPE | {"vocab_size": len(tokenizer), "head_dim": 16, "initializer_range": 0.2}
    return save(folder, Qwen3ForCausalLM(Qwen3Config(**shape)).eval(), tokenizer)


def save(folder: Path, model: PreTrainedModel, tokenizer: Any, **options: Any) -> Path:
    """A folder as the hub has them."""
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    return folder


def write_gguf(path: Path, model: LlamaForCausalLM, tokenizer: Any, *, quantized: str) -> Path:
    """A Llama in one file, as llama.cpp's converter writes it.

    Args:
        path: where to.
        model: the model.
        tokenizer: byte-level.
        quantized: the type of its matrices, F32 or Q4_1.
    """
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokenizer))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = set(tokenizer.all_special_ids)
    types = [
        gguf.TokenType.CONTROL if n in special else gguf.TokenType.NORMAL
        for n in range(len(tokens))
    ]
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    kind = gguf.GGMLQuantizationType[quantized]
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied
        array = weight.float().numpy()
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                array = _interleaved(array, getattr(config, heads))
        target = names.get_name(name, try_suffixes=(".weight",))
        if array.ndim == 2:
            array = gguf.quants.quantize(np.ascontiguousarray(array), kind)
            writer.add_tensor(target, array, raw_dtype=kind)
        else:
            writer.add_tensor(target, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a projection in llama.cpp's order of rotary halves."""
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, array.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(array.shape))
