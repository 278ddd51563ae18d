"""The query tower: the only way to vectors that a collection can be asked with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rabtriever_core.config import IndexConfig, RuntimeConfig
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.models.arrays import Floats

if TYPE_CHECKING:
    from rabtriever_core.models.student import Student


@dataclass(frozen=True)
class QueryVectors:
    """Queries in a collection's coordinates: margin = score · scale + offset."""

    vectors: Floats
    """[n, k]."""
    scales: Floats
    """[n], above 0."""
    offsets: Floats
    """[n]: ⟨φ, μ⟩ of the gauge, and the student's own offsets."""

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice) -> "QueryVectors":
        return QueryVectors(self.vectors[rows], self.scales[rows], self.offsets[rows])

    def margins(self, stored: Floats) -> Floats:
        """Margins with stored document vectors [m, k]: float32 [n, m]."""
        scores: Floats = self.vectors @ stored.T
        return scores * self.scales[:, None] + self.offsets[:, None]

    @classmethod
    def plain(cls, vectors: Floats) -> "QueryVectors":
        """Vectors whose scores are the margins."""
        return cls(vectors, np.ones(len(vectors), np.float32), np.zeros(len(vectors), np.float32))


def place(gauge: Gauge, phi: Floats, *, fill_range: bool) -> QueryVectors:
    """The student's query vectors φ [n, d] in a gauge's coordinates.

    Args:
        gauge: of the collection.
        phi: float32 [n, d].
        fill_range: scale queries to the documents' range. Qdrant's int8 encodes a query with step
            and bounds of the documents, so that a short one falls into few steps and a long one is
            cut off, although its length means nothing for the ranking (qdrant/qdrant#9352).
    """
    vectors, offsets = gauge.queries(phi)
    scales = np.ones(len(vectors), dtype=np.float32)
    if fill_range:
        largest = np.abs(vectors).max(axis=1, initial=0)
        usable = (largest > 0) & (gauge.reach > 0)
        scales[usable] = largest[usable] / gauge.reach
        vectors = vectors / scales[:, None]
    return QueryVectors(vectors, scales, offsets)


class QueryTower:
    """The student and the gauge of one collection; `check_built_by` compares the gauge's hash."""

    def __init__(self, student: "Student", gauge: Gauge, *, fill_range: bool = False) -> None:
        self.student = student
        self.gauge = gauge
        self.fill_range = fill_range

    @classmethod
    def of(cls, student: "Student", gauge: Gauge, index: IndexConfig) -> "QueryTower":
        """Student and gauge, for a collection that is quantized as `index` says."""
        return cls(student, gauge, fill_range=index.quantization == "int8")

    @classmethod
    def load(
        cls, student: Path, teacher: Path, gauge: Path, index: IndexConfig, runtime: RuntimeConfig
    ) -> "QueryTower":
        """Open student and gauge.

        Args:
            student: its artifact.
            teacher: the artifact it was distilled from.
            gauge: the artifact of the collection.
            index: how the collection is quantized.
            runtime: where to compute.

        Raises:
            ArtifactError: an artifact is missing or damaged, or the teacher is another one.
        """
        from rabtriever_core.models.student import Student

        return cls.of(Student.load(student, teacher, runtime), Gauge.load(gauge), index)

    @property
    def dimension(self) -> int:
        """Length of the stored vectors."""
        return self.gauge.dimension

    def encode(self, queries: Sequence[str]) -> QueryVectors:
        """Query texts in the collection's coordinates."""
        phi, offsets = self.student.encode_queries_with_offsets(queries)
        placed = self.place(phi)
        return replace(placed, offsets=placed.offsets + offsets)

    def place(self, phi: Floats) -> QueryVectors:
        """The student's query vectors φ [n, d] in the collection's coordinates."""
        return place(self.gauge, phi, fill_range=self.fill_range)
