"""What a causal backbone and a pretrained encoder have in common: they read texts alone."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.arrays import to_device
from rabtriever_core.models.precision import rounding_of, trains_mixed
from rabtriever_core.models.prompt import QuerySide

if TYPE_CHECKING:
    import torch


class TextPrompt(Protocol):
    """Turns texts into the token ids that a model reads."""

    spec: Any
    tokenizer: Any

    @property
    def template_ids(self) -> frozenset[int]:
        """Token ids of the fixed parts."""

    def documents(self, documents: Sequence[Document]) -> list[list[int]]:
        """Token ids of documents."""

    def queries(self, queries: Sequence[str]) -> list[list[int]]:
        """Token ids of queries, as they follow a document where they ever do."""

    @property
    def query_side(self) -> QuerySide:
        """What a query that is read alone is put between."""

    def alone(self, query_ids: Sequence[Sequence[int]]) -> list[list[int]]:
        """Queries as they are read without a document."""


class TextEncoder(ABC):
    """A model that gives e_Q of a query and e_D of a document, each read alone.

    Attributes:
        model: of `transformers`.
        prompt: turns texts into token ids.
        runtime: says how precisely it is trained; in float32 without it.
        batch_multiple: times as many texts are read at once outside training.
    """

    def __init__(
        self,
        model: Any,
        prompt: TextPrompt,
        *,
        runtime: RuntimeConfig | None = None,
        batch_multiple: int = 1,
    ) -> None:
        self.model = model
        self.prompt = prompt
        self.runtime = runtime
        self.batch_multiple = batch_multiple

    @property
    def mixed_precision(self) -> bool:
        """Whether it multiplies in bfloat16 while it is trained; found out when it is asked for."""
        return self.runtime is not None and trains_mixed(self.runtime, self.model)

    @property
    def device(self) -> "torch.device":
        """Where the model lies."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dimension(self) -> int:
        """Length d of the states."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def max_tokens(self) -> int:
        """Longest row that the model can read."""
        config = self.model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None)
        return int(limit) if limit else int(np.iinfo(np.int32).max)

    @property
    def rounding(self) -> float:
        """How far apart, relatively, a text's states may be that are computed in two batches."""
        return rounding_of(self.model.dtype, self.device)

    def pad(
        self, rows: Sequence[Sequence[int]], width: int = 0
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Right-pad token ids, to `width` at least: (ids [n, l], lengths [n])."""
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        ids = np.full((len(rows), max(width, lengths.max())), self.prompt.spec.pad_id, np.int64)
        ids[np.arange(ids.shape[1]) < lengths[:, None]] = np.fromiter(
            chain.from_iterable(rows), dtype=np.int64, count=lengths.sum()
        )
        return to_device(ids, self.device), to_device(lengths, self.device)

    def last_states(self, rows: Sequence[Sequence[int]], width: int = 0) -> "torch.Tensor":
        """States of token rows that are padded to `width` at least: float32 [n, d]."""
        return self.padded_states(*self.pad(rows, width))

    @abstractmethod
    def padded_states(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """States of right-padded rows [n, l] of `lengths` tokens: float32 [n, d]."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write model, tokenizer and prompt."""
