"""A cache of documents that were read: their keys and values, kept from query to query."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rabtriever_core.data.dataset import Document
from rabtriever_core.models.apart import Apart
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.backbone import last_tokens
from rabtriever_core.models.base_reranker import Reranker
from rabtriever_core.models.document_cache import cache_of

if TYPE_CHECKING:
    import torch

_BATCH = 32
"""Documents read at once."""


@dataclass(frozen=True, eq=False)
class _Read:
    """A document as the model left it."""

    keys: "list[torch.Tensor]"
    """Of every layer: [heads, tokens, width]."""
    values: "list[torch.Tensor]"
    e_d: "torch.Tensor"
    """Read apart [d]."""

    @property
    def bytes(self) -> int:
        """What it takes."""
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values, self.e_d))


class DocumentPrefixes:
    """Scores one query with documents, each of which is read once as long as it is kept.

    The least recently used are dropped first. Nothing is kept where the prompt puts the query
    first: what is read of a document then depends on it. Not safe for several threads at once.
    """

    def __init__(self, reranker: Reranker, max_bytes: int) -> None:
        self.reranker = reranker
        self.max_bytes = max_bytes
        self._read: OrderedDict[tuple[int, ...], _Read] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Documents that are kept."""
        return len(self._read)

    def margins(self, query: str, documents: Sequence[Document]) -> Floats:
        """Scores of a query with documents: float32 [m]; those of `Reranker.margins`."""
        import numpy as np
        import torch

        if not documents:
            return np.zeros(0, dtype=np.float32)
        prompt = self.reranker.backbone.prompt
        if not prompt.spec.document_first:
            only: Floats = self.reranker.margins([query], documents)[0]
            return only
        query_ids = prompt.queries([query])
        with torch.inference_mode():
            rows = [tuple(row) for row in prompt.documents(documents)]
            found = self._all_read(dict(zip(rows, documents, strict=True)), rows)
            e_q = self.reranker.queries_apart([query], query_ids)
            e_d = torch.stack([read.e_d for read in found])
            numbers, zeros = range(len(rows)), [0] * len(rows)
            states = self.reranker.states_after(
                _side_by_side(found),
                torch.tensor([len(row) for row in rows], device=e_d.device),
                query_ids,
                numbers,
                zeros,
            )
            apart = None if e_q is None else Apart(e_q, e_d).pairs(zeros, numbers)
            margins: Floats = self.reranker.scores(states, apart).cpu().numpy()
        self._forget()
        return margins

    def _all_read(
        self, documents: Mapping[tuple[int, ...], Document], rows: Sequence[tuple[int, ...]]
    ) -> list[_Read]:
        new = [row for row in documents if row not in self._read]
        for start in range(0, len(new), _BATCH):
            batch = sorted(new[start : start + _BATCH], key=len)
            self._add(batch, [documents[row] for row in batch])
        for row in rows:
            self._read.move_to_end(row)
        return [self._read[row] for row in rows]

    def _add(self, rows: Sequence[tuple[int, ...]], documents: Sequence[Document]) -> None:
        backbone = self.reranker.backbone
        ids, lengths = backbone.pad(rows)
        read = self.reranker.read_first(ids)
        layers = read.cache.layers
        e_d = self.reranker.documents_apart(documents)
        if e_d is None:
            e_d = last_tokens(read.last_hidden_state, lengths)
        for number, row in enumerate(rows):
            # Copies: a slice would keep the whole batch.
            kept = _Read(
                keys=[layer.keys[number, :, : len(row)].clone() for layer in layers],
                values=[layer.values[number, :, : len(row)].clone() for layer in layers],
                e_d=e_d[number].clone(),
            )
            self._read[row] = kept
            self._bytes += kept.bytes

    def _forget(self) -> None:
        while self._bytes > self.max_bytes:
            _, oldest = self._read.popitem(last=False)
            self._bytes -= oldest.bytes


def _side_by_side(found: Sequence[_Read]) -> object:
    """One cache of documents [m, heads, longest, width] a layer, right-padded."""
    from torch.nn.utils.rnn import pad_sequence

    def padded(tensors: "list[torch.Tensor]") -> "torch.Tensor":
        # Pads the first dimension: tokens.
        return pad_sequence([t.transpose(0, 1) for t in tensors], batch_first=True).transpose(1, 2)

    return cache_of(
        (
            padded([read.keys[number] for read in found]),
            padded([read.values[number] for read in found]),
        )
        for number in range(len(found[0].keys))
    )
