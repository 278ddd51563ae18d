"""What is read from a source, before it is a data set."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import DatasetError

Layout = Literal["pairs", "msmarco", "esconv", "psyqa", "saycan", "alfred"]
"""What a source can be said to be; what the hub has says it itself."""


@dataclass(frozen=True)
class LeftOut:
    """Something that does not become part of the data set."""

    place: str
    """File and row."""
    reason: str


@dataclass(frozen=True)
class Example:
    """A query, and what is said of documents for it."""

    place: str
    """File and row."""
    query: str
    judged: tuple[tuple[Document | str, int], ...]
    """Documents with their labels; a string is the id of one in `Source.documents`. A document
    without an id gets one by its content."""
    query_id: str = ""
    """Empty where the source has none."""
    split: str = ""
    """As the source says it; empty where it says none."""
    answers: tuple[str, ...] = ()
    """Accepted answers, for those who measure answers."""
    group: str = ""
    """Examples of one group stay in one split where splits are made."""
    time: datetime | float | None = None
    """Where splits are made by time: its place in it."""


@dataclass
class Query:
    """All examples of one query together."""

    text: str
    place: str
    labels: dict[str, int] = field(default_factory=dict)
    split: str = ""
    """As the source says it."""
    examples: list[Example] = field(default_factory=list)


@dataclass
class Source:
    """All that was read."""

    layout: str
    """What the source was taken for, in words."""
    documents: list[tuple[str, Document]] = field(default_factory=list)
    """Documents that the source lists with ids of their own, each with its file and row."""
    examples: list[Example] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """How it was read: encoding, columns."""


def missing_library(what: str, error: ImportError) -> DatasetError:
    """What to say where a library that reads a kind of file is not installed."""
    return DatasetError(
        f"{what} needs a library that is not installed ({error}): `pip install "
        "'rabtriever[import]'`"
    )
