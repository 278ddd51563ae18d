"""The document vectors of a release, made from the states in its embeddings artifact.

On disk lie e_D, the teacher's states. Two steps lead to what a collection holds: the student's
predictor makes vectors whose dot products with queries are margins, and the gauge puts them into
the collection's coordinates. Both are taken here, so that nobody can leave one out.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.shards import shard_files

if TYPE_CHECKING:
    from rabtriever_core.index.query_tower import QueryTower
    from rabtriever_core.models.student import Student

Floats = npt.NDArray[np.float32]
Shards = Iterator[tuple[list[str], Floats]]
"""Document ids and vectors, one shard after another."""

_REMEDY = "`rabtriever run document_embeddings --force` makes them anew"


@dataclass(frozen=True)
class StoredDocuments:
    """The documents of an embeddings artifact as states, as student's vectors, and as stored.

    All three can be had whole, for chosen rows, or shard by shard, which keeps one shard in memory
    at a time. A row comes out as the same bits either way: it is always computed with its shard.
    """

    ids: list[str]
    """All m document ids, in the artifact's order."""
    files: tuple[Path, ...]
    """The shards."""
    counts: tuple[int, ...]
    """Documents in each shard."""
    state_size: int
    """Length d of the states."""

    @classmethod
    def open(cls, folder: Path) -> "StoredDocuments":
        """Open the shards in a folder; only ids and headers are read.

        Raises:
            ArtifactError: a file is missing or damaged, or the counts differ.
        """
        path, *files = shard_files(folder)
        try:
            ids = [str(id_) for id_ in json.loads(path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            raise ArtifactError(f"no {path}: {_REMEDY}") from None
        except json.JSONDecodeError as error:
            raise ArtifactError(f"{path} is damaged ({error}): {_REMEDY}") from None
        shapes = [_shape(file) for file in files]
        count = sum(rows for rows, _ in shapes)
        if not files or count != len(ids):
            raise ArtifactError(f"{folder} holds {count} vectors for {len(ids)} ids: {_REMEDY}")
        return cls(ids, tuple(files), tuple(rows for rows, _ in shapes), shapes[0][1])

    def __len__(self) -> int:
        return len(self.ids)

    def check_of(self, documents: Sequence[Document]) -> None:
        """Refuse to stand for other documents than these, or for these in another order.

        Raises:
            ArtifactError: the ids differ.
        """
        if self.ids != [document.id for document in documents]:
            raise ArtifactError(
                f"the embeddings are of other documents than the data set: {_REMEDY}"
            )

    def state_shards(self) -> Shards:
        """Ids and e_D, float32 [n, d], of each shard."""
        return self._shards(_unchanged)

    def vector_shards(self, student: "Student") -> Shards:
        """Ids and the student's vectors, float32 [n, v], of each shard."""
        return self._shards(student.document_vectors)

    def stored_shards(self, tower: "QueryTower") -> Shards:
        """Ids and what the tower's collection holds, float32 [n, k], of each shard."""
        return self._shards(_stored_by(tower))

    def states(self, rows: Sequence[int] | None = None) -> Floats:
        """e_D of all documents or of some rows, in any order: float32 [m, d]."""
        return self._rows(_unchanged, rows)

    def vectors(self, student: "Student", rows: Sequence[int] | None = None) -> Floats:
        """The student's vectors of all documents or of some rows: float32 [m, v]."""
        return self._rows(student.document_vectors, rows)

    def stored(self, tower: "QueryTower", rows: Sequence[int] | None = None) -> Floats:
        """What the tower's collection holds of all documents or of some rows: float32 [m, k]."""
        return self._rows(_stored_by(tower), rows)

    def _shards(self, made: Callable[[Floats], Floats]) -> Shards:
        start = 0
        for file, count in zip(self.files, self.counts, strict=True):
            yield self.ids[start : start + count], made(_read(file))
            start += count

    def _rows(self, made: Callable[[Floats], Floats], rows: Sequence[int] | None) -> Floats:
        """Fill one array shard by shard; shards without a wanted row are not read."""
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        found: Floats | None = None
        start = 0
        for file, count in zip(self.files, self.counts, strict=True):
            own = np.flatnonzero((wanted >= start) & (wanted < start + count))
            if own.size:
                part = made(_read(file))
                if found is None:
                    found = np.empty((len(wanted), part.shape[1]), dtype=np.float32)
                found[own] = part[wanted[own] - start]
            start += count
        return made(_read(self.files[0])[:0]) if found is None else found


def _unchanged(states: Floats) -> Floats:
    return states


def _stored_by(tower: "QueryTower") -> Callable[[Floats], Floats]:
    return lambda states: tower.gauge.documents(tower.student.document_vectors(states))


def _shape(file: Path) -> tuple[int, int]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            rows, size = opened.get_slice("vectors").get_shape()
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged ({error}): {_REMEDY}") from None
    return rows, size


def _read(file: Path) -> Floats:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)["vectors"]
    except (SafetensorError, KeyError) as error:
        raise ArtifactError(f"{file} is damaged ({error}): {_REMEDY}") from None
