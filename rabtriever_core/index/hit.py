"""One document of a ranking."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, with_config

from rabtriever_core.data.dataset import Document


@with_config(ConfigDict(use_attribute_docstrings=True))
@dataclass(frozen=True)
class Hit:
    """One document of a ranking."""

    document_id: str
    title: str
    text: str
    margin: float
    """The student's margin: the logit of *true* minus the logit of *false*. It ranks, but for what
    `bm25` adds."""
    probability: float
    """That the document is right, calibrated on the dev split; outside a release just σ(margin)."""
    fits: bool | None = None
    """Whether the probability reaches the threshold for an answer; None without a threshold."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Of the document; empty when it has none."""
    teacher_margin: float | None = None
    """The teacher's margin, if it read this document for the query."""
    teacher_probability: float | None = None
    """That the document is right by the teacher's margin, calibrated on the dev split."""
    bm25: float | None = None
    """BM25 of the document, where the release ranks by margin + `index.bm25_weight` · BM25."""

    @property
    def document(self) -> Document:
        """What the models read."""
        return Document(self.document_id, self.text, self.title, self.metadata)
