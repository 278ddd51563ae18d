"""What a retriever is asked, and what it answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from rabtriever_core.index.filters import SearchFilter, check_filter
from rabtriever_core.index.hit import Hit
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release

if TYPE_CHECKING:
    from rabtriever_core.data.dataset import Document

Rerank = bool | Literal["auto"]


@dataclass(frozen=True)
class Query:
    """One query with its options."""

    text: str
    k: int = 5
    """How many documents to return."""
    filter: SearchFilter | None = None
    """Conditions on the documents' metadata (`rabtriever_core.index.filters`)."""
    min_probability: float | None = None
    """A hit fits from this probability on; None for the fitted threshold."""
    rerank: Rerank = False
    """Let the teacher reorder the first documents; "auto" only if the student is unsure."""

    def __post_init__(self) -> None:
        # Its own fault is found before it waits with others.
        check_filter(self.filter)
        if not self.text.strip():
            raise ValueError("a query must have text")
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")
        if self.min_probability is not None and not 0 <= self.min_probability <= 1:
            raise ValueError(f"min_probability must be from 0 to 1, got {self.min_probability}")
        if self.rerank not in (True, False, "auto"):
            raise ValueError(f'rerank must be True, False or "auto", got {self.rerank!r}')


@dataclass(frozen=True)
class Answer(Sequence[Hit]):
    """Ranked documents from one release, best first; a sequence of hits.

    The k best documents are returned even if none of them `fits`.
    """

    hits: list[Hit]
    release: Release
    calibration: Calibration
    reranked: bool = False
    """Whether the teacher reordered the first documents."""

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)


@dataclass(frozen=True)
class Embedded:
    """Query vectors for any Qdrant client: margin = score · scale + offset."""

    vectors: list[list[float]]
    scales: list[float]
    offsets: list[float]
    release: Release
    """Search its collection, by the collection's own name: others have other coordinates."""


@dataclass(frozen=True)
class Reranked:
    """Candidates with the teacher's margins, best first."""

    results: "list[tuple[Document, float]]"
    release: Release
    calibration: Calibration

    @property
    def probabilities(self) -> list[float]:
        """That each is right, calibrated on dev."""
        margins = [margin for _, margin in self.results]
        return [float(p) for p in self.calibration.teacher_probabilities(margins)]
