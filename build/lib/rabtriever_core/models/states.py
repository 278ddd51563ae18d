"""States of texts read apart: e_Q of queries and e_D of documents."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.saved_encoder import load_encoder_of_teacher
from rabtriever_core.models.text_encoder import TextEncoder
from rabtriever_core.workspace.artifacts import load_artifact


class DocumentReader:
    """The frozen teacher's encoder as a reader of documents: no student and no gauge changes e_D.

    Matrix products of other shapes round differently. Here the shape of a document's batch depends
    only on its own length, so that its state has the same bits whatever is read beside it, and a
    document that was read once need not be read again.
    """

    rows = 32
    """Rows of every batch; the last one is filled up."""
    step = 8
    """Widths are multiples of it."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    @classmethod
    def load(cls, teacher: Path, runtime: RuntimeConfig) -> "DocumentReader":
        """Open a teacher artifact.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        load_artifact(teacher)
        return cls(load_encoder_of_teacher(teacher, runtime))

    @property
    def dimension(self) -> int:
        """Length of the states, d."""
        return self.encoder.dimension

    def states(self, documents: Sequence[Document]) -> Floats:
        """e_D of every document: float32 [m, d]."""
        import torch

        rows = self.encoder.prompt.documents(documents)
        found = np.zeros((len(rows), self.dimension), dtype=np.float32)
        by_width: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            by_width.setdefault(-(-len(row) // self.step) * self.step, []).append(number)
        with torch.inference_mode():
            for width, numbers in sorted(by_width.items()):
                padded = min(width, self.encoder.max_tokens)
                for start in range(0, len(numbers), self.rows):
                    batch = numbers[start : start + self.rows]
                    filled = [rows[n] for n in batch] + [rows[batch[-1]]] * (self.rows - len(batch))
                    read = self.encoder.last_states(filled, padded)[: len(batch)]
                    found[batch] = read.cpu().numpy()
        return found


def query_states(
    encoder: TextEncoder, queries: Sequence[str], batch_size: int = 64, *, progress: bool = False
) -> Floats:
    """e_Q, the state at the last token of the query side read alone: float32 [n, d].

    That is the answer's position where the document stands first.
    """
    rows = encoder.prompt.queries(queries)
    return query_row_states(encoder, rows, batch_size, progress=progress)


def query_row_states(
    encoder: TextEncoder,
    query_ids: Sequence[list[int]],
    batch_size: int = 64,
    *,
    progress: bool = False,
) -> Floats:
    """e_Q of query sides given as token ids: float32 [n, d]."""
    return _states(encoder, encoder.prompt.alone(query_ids), batch_size, "queries", progress)


def document_states(
    encoder: TextEncoder,
    documents: Sequence[Document],
    batch_size: int = 64,
    *,
    progress: bool = False,
) -> Floats:
    """e_D, the state at the last token of the document side read alone: float32 [m, d].

    That is the answer's position where the query stands first.
    """
    rows = encoder.prompt.documents(documents)
    return _states(encoder, rows, batch_size, "documents", progress)


def _states(
    encoder: TextEncoder, rows: Sequence[list[int]], batch_size: int, unit: str, progress: bool
) -> Floats:
    import torch
    from tqdm import tqdm

    batch_size *= encoder.batch_multiple
    states = np.zeros((len(rows), encoder.dimension), dtype=np.float32)
    order = sorted(range(len(rows)), key=lambda r: len(rows[r]))
    starts = tqdm(range(0, len(rows), batch_size), desc=unit, disable=not progress)
    with torch.inference_mode():
        for start in starts:
            batch = order[start : start + batch_size]
            states[batch] = encoder.last_states([rows[r] for r in batch]).cpu().numpy()
    return states
