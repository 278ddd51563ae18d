"""The query tower without torch: an exported folder, run by onnxruntime (extra `onnx`).

`rabtriever_core.integrations.onnx_export` writes the folder: `tower.onnx` from token ids to vectors
in the collection's coordinates, `tokenizer.json`, and `tower.json`, which says of what release.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.integrations import missing_extra
from rabtriever_core.models.probability import Calibration
from rabtriever_core.workspace.artifacts import folder_md5s

MODEL_FILE, TOKENIZER_FILE, TOWER_FILE = "tower.onnx", "tokenizer.json", "tower.json"
INPUTS, OUTPUTS = ("ids", "lengths"), ("vectors", "scales", "offsets")
Precision = Literal["float32", "int8"]
"""Of an export's weights."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QuerySide(_Frozen):
    """How a query becomes token ids: `head + tokens + tail`, right-padded."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    pad: int
    max_tokens: int
    """Of the query's own; its start is cut off."""
    space: tuple[str, str] = ("", "")
    """White space before and after a query that is tokenized with it."""


class Parity(_Frozen):
    """What the export measured before it wrote anything."""

    queries: int
    documents: int
    max_error: float
    """Largest difference of a margin from torch's in float32."""
    top10_agreement: float | None = None
    """Share of the export's ten best documents that torch has among its own, over the release's
    queries; None in exports of earlier versions, which are in float32."""
    served_precision: str
    """What the release computes in."""
    served_difference: float
    """Largest difference of a margin from torch's in that precision."""


class TowerInfo(_Frozen):
    """`tower.json`."""

    schema_version: Literal[1] = 1
    release: str
    """The release it belongs to."""
    collection: str
    """The collection it can ask: no other has these coordinates."""
    gauge: str
    """Fingerprint of the coordinates."""
    dimension: int
    precision: Precision = "float32"
    """Of the weights."""
    query: QuerySide
    calibration: Calibration
    """From margins to probabilities."""
    parity: Parity
    versions: dict[str, str]
    files: dict[str, str]
    """md5 of every other file."""


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

        Raises:
            ConfigError: the extra `onnx` is not installed.
        """
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise missing_extra("onnx", error) from error
        self.side, self.dimension = side, dimension
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        # Special tokens in a query are plain text; the file does not keep this switch.
        self._tokenizer.encode_special_tokens = True
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(
            folder / MODEL_FILE, options, providers=["CPUExecutionProvider"]
        )

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


class OnnxQueryTower(QueryGraph):
    """Query texts → vectors in the collection's coordinates, as `QueryTower` gives them.

    In int8 a vector depends a little on the queries that are encoded together with it.

    Attributes:
        info: what `tower.json` says.
    """

    def __init__(self, folder: Path | str, *, threads: int | None = None) -> None:
        """Open a folder that `export_query_tower` wrote, every byte checked.

        Args:
            folder: of the export.
            threads: onnxruntime computes with; None leaves it to choose.

        Raises:
            ArtifactError: it is missing or damaged.
            ConfigError: the extra `onnx` is not installed.
        """
        folder = Path(folder)
        self.info = _read_info(folder)
        super().__init__(folder, self.info.query, self.info.dimension, threads)


def _read_info(folder: Path) -> TowerInfo:
    remedy = "export it again"
    try:
        info = TowerInfo.model_validate_json((folder / TOWER_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"no exported query tower at {folder}: {remedy}") from None
    except ValidationError as error:
        raise ArtifactError(f"{folder / TOWER_FILE} is damaged ({error}): {remedy}") from None
    found = {name: md5 for name, md5 in folder_md5s(folder).items() if name != TOWER_FILE}
    if found != info.files:
        differing = sorted({name for name, _ in found.items() ^ info.files.items()})
        raise ArtifactError(f"{folder} is damaged: {', '.join(differing)} differ; {remedy}")
    return info
