"""A tiny pretrained encoder made on the spot, in the layout of sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from rabtriever_core.config import PromptConfig
from rabtriever_core.data.dataset import Dataset
from rabtriever_core.models.encoder import Encoder
from rabtriever_core.models.model_source import encoder_source
from rabtriever_core.models.pretrained_encoder import pretrained_encoder
from tests.core.small import RUNTIME

_PACKAGE = "sentence_transformers.models"
_TOKENS = {"mean": "_tokens", "max": "_tokens", "cls": "_token"}


def write_encoder(
    folder: Path,
    dataset: Dataset,
    *,
    pooling: str = "mean",
    prompts: dict[str, str] | None = None,
    further_module: str | None = None,
) -> Path:
    """Write a BERT of random weights whose words are those of the data set.

    Args:
        folder: where.
        dataset: its words.
        pooling: of sentence-transformers.
        prompts: texts that stand before queries and documents.
        further_module: name of one more part.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    texts = [*dataset.queries.values(), *(d.full_text for d in dataset.documents), "query: text"]
    tokenizer.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        model_max_length=64,
    )
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(wrapped),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    modules = ["Transformer", "Pooling", *([further_module] if further_module else [])]
    described = [
        {"idx": i, "name": str(i), "path": f"{i}_{m}" if i else "", "type": f"{_PACKAGE}.{m}"}
        for i, m in enumerate(modules)
    ]
    _write(folder / "modules.json", described)
    _write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": 24, f"pooling_mode_{pooling}{_TOKENS[pooling]}": True},
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 32})
    _write(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    return folder


def small_encoder(folder: Path, dataset: Dataset, **how: Any) -> Encoder:
    """The same, opened."""
    write_encoder(folder, dataset, **how)
    return pretrained_encoder(encoder_source(str(folder), folder), PromptConfig(), RUNTIME)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
