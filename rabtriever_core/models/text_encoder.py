"""What reads queries and documents apart: a causal backbone, or a pretrained encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.encoder import ENCODER_FILE, Encoder
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


class TextEncoder(Protocol):
    """Gives e_Q of a query and e_D of a document, each read alone."""

    model: Any
    batch_multiple: int

    @property
    def mixed_precision(self) -> bool:
        """Whether it multiplies in bfloat16 while it is trained."""

    @property
    def prompt(self) -> TextPrompt:
        """Turns texts into token ids."""

    @property
    def device(self) -> "torch.device":
        """Where the model lies."""

    @property
    def dimension(self) -> int:
        """Length d of the states."""

    @property
    def max_tokens(self) -> int:
        """Longest row that the model can read."""

    @property
    def rounding(self) -> float:
        """How far apart, relatively, a text's states may be that are computed in two batches."""

    def pad(
        self, rows: Sequence[Sequence[int]], width: int = 0
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Right-pad token ids, to `width` at least: (ids [n, l], lengths [n])."""

    def padded_states(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """States of right-padded rows [n, l] of `lengths` tokens: float32 [n, d]."""

    def last_states(self, rows: Sequence[Sequence[int]], width: int = 0) -> "torch.Tensor":
        """States of token rows that are padded to `width` at least: float32 [n, d]."""

    def save(self, folder: Path) -> None:
        """Write everything that `load_text_encoder` needs."""


ENCODER_FOLDER = "encoder"
"""Of a teacher artifact: what reads texts apart, where that is not the teacher's backbone."""


def load_text_encoder(folder: Path, runtime: RuntimeConfig) -> Backbone | Encoder:
    """Open a folder that either kind has saved, ready for inference."""
    if (folder / ENCODER_FILE).is_file():
        return Encoder.load(folder, runtime)
    return Backbone.load(folder, runtime)


def load_encoder_of_teacher(teacher: Path, runtime: RuntimeConfig) -> Backbone | Encoder:
    """Open what a teacher artifact reads texts apart with: its backbone, or another encoder."""
    other = teacher / ENCODER_FOLDER
    return load_text_encoder(other if other.is_dir() else teacher, runtime)
