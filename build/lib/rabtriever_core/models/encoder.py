"""Pretrained text encoders, such as all-MiniLM-L6-v2: one vector per text, in one pass."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.backbone import last_tokens, pick_device
from rabtriever_core.models.prompt import QuerySide, text_ids
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.workspace.atomic import write_json

if TYPE_CHECKING:
    import torch

ENCODER_FILE = "encoder.json"
Pooling = Literal["mean", "cls", "lasttoken"]


@dataclass(frozen=True)
class EncoderSpec:
    """How texts become vectors around the model: sentence-transformers' settings of a model."""

    pooling: Pooling
    """Mean of all token states, state of the first token, or of the last."""
    start: tuple[int, ...]
    """Special tokens before a text."""
    end: tuple[int, ...]
    """Special tokens after it."""
    pad_id: int
    max_query_tokens: int
    max_document_tokens: int
    query_prefix: tuple[int, ...] = ()
    """What stands before every query, for models that were trained so (`query: `)."""
    document_prefix: tuple[int, ...] = ()
    """What stands before every document."""


class EncoderPrompt:
    """Turns documents and queries into an encoder's token ids; the counterpart of `Prompt`.

    Special tokens within a text are split into plain characters, and white space is collapsed.
    """

    def __init__(self, spec: EncoderSpec, tokenizer: Any) -> None:
        self.spec = spec
        self.tokenizer = tokenizer

    @property
    def template_ids(self) -> frozenset[int]:
        """Token ids of the fixed parts."""
        spec = self.spec
        return frozenset(spec.start + spec.query_prefix + spec.document_prefix + spec.end)

    def documents(self, documents: Sequence[Document]) -> list[list[int]]:
        """Token ids of documents; long ones are cut at the end."""
        spec, head = self.spec, [*self.spec.start, *self.spec.document_prefix]
        texts = text_ids(self.tokenizer, [document.full_text for document in documents])
        return [[*head, *ids[: spec.max_document_tokens], *spec.end] for ids in texts]

    def queries(self, queries: Sequence[str]) -> list[list[int]]:
        """Token ids of queries; long ones are cut at the start."""
        side, texts = self.query_side, text_ids(self.tokenizer, queries)
        return [[*side.head, *ids[-side.max_tokens :], *side.tail] for ids in texts]

    @property
    def query_side(self) -> QuerySide:
        """What a query is put between."""
        spec = self.spec
        head = (*spec.start, *spec.query_prefix)
        return QuerySide(head, spec.end, spec.pad_id, spec.max_query_tokens)

    def alone(self, query_ids: Sequence[Sequence[int]]) -> list[list[int]]:
        """Queries as they are read: an encoder never reads them after a document."""
        return [list(row) for row in query_ids]


class Encoder(TextEncoder):
    """A bidirectional encoder with its pooling; its vectors have length one."""

    prompt: EncoderPrompt

    def padded_states(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """A vector of length one for every right-padded row [n, l] of `lengths` tokens: [n, d]."""
        import torch

        mask = torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]
        rounded = self.model.training and self.mixed_precision
        with torch.autocast(ids.device.type, torch.bfloat16) if rounded else nullcontext():
            read = self.model(input_ids=ids, attention_mask=mask.long())
        states = read.last_hidden_state.float()
        pooling = self.prompt.spec.pooling
        if pooling == "mean":
            found = (states * mask[..., None]).sum(dim=1) / lengths[:, None]
        elif pooling == "cls":
            found = states[:, 0]
        else:
            found = last_tokens(states, lengths)
        return torch.nn.functional.normalize(found, dim=-1)

    def save(self, folder: Path) -> None:
        """Write model (safetensors), tokenizer and pooling."""
        self.model.save_pretrained(folder)
        self.prompt.tokenizer.save_pretrained(folder)
        write_json(folder / ENCODER_FILE, asdict(self.prompt.spec))

    @classmethod
    def load(cls, folder: Path, runtime: RuntimeConfig) -> "Encoder":
        """Read what `save` wrote, ready for inference."""
        from transformers import AutoModel, AutoTokenizer

        values = json.loads((folder / ENCODER_FILE).read_text(encoding="utf-8"))
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        spec = EncoderSpec(**fields)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True)
        model = model.to(pick_device(runtime)).eval()
        return cls(
            model,
            EncoderPrompt(spec, tokenizer),
            runtime=runtime,
            batch_multiple=runtime.batch_multiple,
        )
