"""What a retriever is asked, and what it answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from rabtriever_core.index.filters import SearchFilter, qdrant_filter
from rabtriever_core.index.search import Hit
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release

if TYPE_CHECKING:
    from rabtriever_core.data.dataset import Document

Rerank = bool | Literal["auto"]


@dataclass(frozen=True)
class Query:
    """One question and what its answer must be like."""

    text: str
    k: int = 5
    """Documents."""
    filter: SearchFilter | None = None
    """Conditions on the documents' metadata (`rabtriever_core.index.filters`)."""
    min_probability: float | None = None
    """Least probability of a hit that fits; the fitted one when not given."""
    rerank: Rerank = False
    """Let the teacher read the first documents and put them in its own order; "auto" where the
    student is unsure."""

    def __post_init__(self) -> None:
        # Its own fault is found before it waits with others.
        object.__setattr__(self, "filter", qdrant_filter(self.filter))
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
    """Ranked documents, best first, all from one release.

    Nothing is held back: where no hit `fits`, the first ones are the best of what does not.
    """

    hits: list[Hit]
    release: Release
    calibration: Calibration
    reranked: bool = False
    """Whether the teacher put the first documents in order."""

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
    """Queries as vectors for any client of Qdrant: margin = score · scale + offset."""

    vectors: list[list[float]]
    scales: list[float]
    offsets: list[float]
    release: Release
    """Its collection is the one to search, by its own name; no other has these coordinates."""


@dataclass(frozen=True)
class Reranked:
    """Candidates with the teacher's T − F logits, best first."""

    results: "list[tuple[Document, float]]"
    release: Release
