"""Query texts → vectors in a collection's coordinates by onnxruntime, without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.query_tower import QueryVectors

MODEL_FILE, TOKENIZER_FILE, TOWER_FILE = "tower.onnx", "tokenizer.json", "tower.json"
INPUTS, OUTPUTS = ("ids", "lengths"), ("vectors", "scales", "offsets")
FOLDER = "query_tower"
"""Of the graph, in the artifact of the collection that it asks."""
Precision = Literal["float32", "int8"]
"""Of a graph's weights."""


class Frozen(BaseModel):
    """A part of `tower.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class QuerySide(Frozen):
    """How a query becomes token ids: `head + tokens + tail`, right-padded."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    pad: int
    max_tokens: int
    """Of the query's own; its start is cut off."""
    space: tuple[str, str] = ("", "")
    """White space before and after a query that is tokenized with it."""


class Parity(Frozen):
    """What was measured before a graph was used."""

    queries: int
    documents: int
    max_error: float
    """Largest difference of a margin from torch's in float32."""
    top10_agreement: float | None = None
    """Share of the graph's ten best documents that torch has among its own; None in exports of
    earlier versions, which are in float32."""
    served_precision: str
    """What torch computes in where it encodes queries of the release."""
    served_difference: float
    """Largest difference of a margin from torch's in that precision."""


class GraphInfo(Frozen):
    """`tower.json` beside a graph."""

    schema_version: Literal[1] = 1
    gauge: str
    """Fingerprint of the coordinates."""
    dimension: int
    precision: Precision = "float32"
    """Of the weights."""
    query: QuerySide
    parity: Parity


Info = TypeVar("Info", bound=GraphInfo)


class QueryGraph:
    """Query texts → vectors, by a graph and a tokenizer in a folder; nothing is checked."""

    def __init__(
        self, folder: Path, side: QuerySide, dimension: int, threads: int | None = None
    ) -> None:
        """Open `tower.onnx` and `tokenizer.json`.

        Args:
            folder: of both.
            side: how queries become token ids.
            dimension: length of the vectors.
            threads: onnxruntime computes with; None leaves it to choose.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        self.side, self.dimension = side, dimension
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        # Special tokens in a query are plain text; the file does not keep this switch.
        self._tokenizer.encode_special_tokens = True
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(
            folder / MODEL_FILE, options, providers=["CPUExecutionProvider"]
        )

    @classmethod
    def beside(cls, collection: Path, threads: int | None = None) -> "QueryGraph | None":
        """The graph in a collection's artifact; None where it has none.

        Raises:
            ArtifactError: what describes it is damaged.
        """
        folder = collection / FOLDER
        if not folder.is_dir():
            return None
        info = read_info(folder, GraphInfo, "`rabtriever run qdrant_collection --force`")
        return cls(folder, info.query, info.dimension, threads)

    def encode(self, queries: Sequence[str], batch_size: int = 64) -> QueryVectors:
        """Query texts in the collection's coordinates."""
        rows = self._rows(queries)
        vectors = np.zeros((len(rows), self.dimension), dtype=np.float32)
        scales, offsets = np.ones((2, len(rows)), dtype=np.float32)
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            ids, lengths = self._pad([rows[row] for row in batch])
            feed = dict(zip(INPUTS, (ids, lengths), strict=True))
            vectors[batch], scales[batch], offsets[batch] = self._session.run(OUTPUTS, feed)
        return QueryVectors(vectors, scales, offsets)

    def _rows(self, queries: Sequence[str]) -> list[list[int]]:
        side = self.side
        before, after = side.space
        flat = [f"{before}{' '.join(query.split())}{after}" for query in queries]
        encoded = self._tokenizer.encode_batch(flat, add_special_tokens=False)
        return [[*side.head, *found.ids[-side.max_tokens :], *side.tail] for found in encoded]

    def _pad(
        self, rows: Sequence[Sequence[int]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Right-padded ids [n, l] and lengths [n]."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        ids = np.full((len(rows), lengths.max()), self.side.pad, dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
        return ids, lengths


def read_info(folder: Path, kind: type[Info], remedy: str) -> Info:
    """`tower.json` of a folder.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    try:
        return kind.model_validate_json((folder / TOWER_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"no exported query tower at {folder}: {remedy}") from None
    except ValidationError as error:
        raise ArtifactError(f"{folder / TOWER_FILE} is damaged ({error}): {remedy}") from None
