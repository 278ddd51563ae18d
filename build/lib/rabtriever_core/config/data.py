"""Settings of the data set and its validation."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from rabtriever_core.config.component import Component, Operating, Shown


class DatasetConfig(Component):
    """The data set that everything is built from."""

    name: Shown[str] = Field("demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the data set, in the report and as the Qdrant alias."""
    folder: Shown[Path] = Path("data/demo")
    """Where it lies, in BEIR layout; relative to the workspace. That is corpus.jsonl, queries.jsonl
    and qrels/*.tsv."""
    demo: Shown[bool] = True
    """Write the bundled demo set into `folder` if it is missing."""
    train_split: Shown[str] = "train"
    """Judgements that the models learn from: qrels/train.tsv."""
    dev_split: Shown[str] = "dev"
    """Judgements that choices are made on: qrels/dev.tsv. Every other split is used by the
    benchmark alone."""
    language: Literal[
        "auto", "none", "da", "de", "en", "es", "fr", "it", "nl", "no", "pt", "ru", "sv", "tr"
    ] = "auto"
    """Whose word endings and stop words BM25 leaves out; `auto` tells it by the documents, `none`
    leaves words as they are. Scripts without spaces between words need no setting."""


class ChangesConfig(Component):
    """How much a new version of the data may differ from the one before it."""

    max_removed_share: float = Field(0.5, ge=0, le=1)
    """The pipeline stops when more than this share of documents, queries or judgements is gone."""
    max_length_drift: float = Field(0.2, ge=0, le=1)
    """Warn when the lengths of texts have shifted by more than this (Kolmogorov-Smirnov
    statistic)."""
    max_word_drift: float = Field(0.2, ge=0, le=1)
    """Warn when word frequencies have shifted by more than this (Jensen-Shannon divergence in
    bits)."""
    max_unseen_share: float = Field(0.2, ge=0, le=1)
    """Warn when more than this share of all words did not occur in the version before."""
    max_label_drift: float = Field(0.2, ge=0, le=1)
    """Warn when labels, or which documents are right, have shifted by more than this
    (Jensen-Shannon divergence in bits)."""
    max_score_drift: float = Field(0.2, ge=0, le=1)
    """Warn when the served student's best margins for the new queries differ from those for the old
    ones by more than this (Kolmogorov-Smirnov statistic)."""
    leaked_queries: Literal["stop", "warn"] = "stop"
    """What to do when training queries belonged to an evaluation split in the version before."""


class ValidationConfig(Component):
    """What a data set must satisfy before anything is trained on it."""

    max_document_characters: int = Field(20_000, gt=0)
    """Longer documents are quarantined."""
    max_query_characters: int = Field(20_000, gt=0)
    """Longer queries are quarantined."""
    max_quarantined_share: Shown[float] = Field(0.10, ge=0, le=1)
    """Stop when more than this share of any file's rows is quarantined."""
    min_documents: int = Field(2, ge=2)
    """Stop when there are fewer documents."""
    min_train_queries: Shown[int] = Field(20, ge=1)
    """Stop when fewer training queries have judgements."""
    labels: Shown[tuple[int, ...]] = (0, 1, 2, 3)
    """Relevance labels allowed in qrels; 0 means not relevant."""
    duplicate_queries: Literal["quarantine", "warn"] = "quarantine"
    """What to do with a query that repeats another one's text and labels in the same split:
    quarantine the later one, or only count it."""
    changes: Operating[ChangesConfig] = ChangesConfig()
    """How much a new version may differ from the one before it. These bounds are checked beside the
    validation, so another bound validates and trains nothing again."""
