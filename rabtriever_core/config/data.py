"""Settings of the data set and its validation."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from rabtriever_core.config.component import Component, Operating


class DatasetConfig(Component):
    """Which data set the pipeline reads."""

    name: str = Field("demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the Qdrant alias and the report."""
    folder: Path = Path("data/demo")
    """BEIR layout (corpus.jsonl, queries.jsonl, qrels/*.tsv); relative to the workspace."""
    demo: bool = True
    """Write the bundled demo set into `folder` when it is not there yet."""
    train_split: str = "train"
    """The qrels file the models learn from."""
    dev_split: str = "dev"
    """The qrels file choices are made on; every other split is for the benchmark alone."""


class ChangesConfig(Component):
    """How far a version of the data may be from the one served, or validated, before it.

    Compared beside the validation: another bound validates and trains nothing again.
    """

    max_removed_share: float = Field(0.5, ge=0, le=1)
    """Above this share of documents, queries or judgements gone the chain stops."""
    max_length_drift: float = Field(0.2, ge=0, le=1)
    """Kolmogorov-Smirnov statistic of text lengths; above it a warning."""
    max_word_drift: float = Field(0.2, ge=0, le=1)
    """Jensen-Shannon divergence of word frequencies, in bits; above it a warning."""
    max_unseen_share: float = Field(0.2, ge=0, le=1)
    """Share of running words that the version before did not have; above it a warning."""
    max_label_drift: float = Field(0.2, ge=0, le=1)
    """Jensen-Shannon divergence of labels, and of right documents; above it a warning."""
    max_score_drift: float = Field(0.2, ge=0, le=1)
    """Kolmogorov-Smirnov statistic of the served student's best margins, of the queries before and
    now; above it a warning."""
    leaked_queries: Literal["stop", "warn"] = "stop"
    """What to do about training queries that an evaluation split had in the version before."""


class ValidationConfig(Component):
    """What a data set must satisfy before anything is trained on it."""

    max_document_characters: int = Field(20_000, gt=0)
    """Longer documents are quarantined."""
    max_query_characters: int = Field(20_000, gt=0)
    """Longer queries are quarantined."""
    max_quarantined_share: float = Field(0.10, ge=0, le=1)
    """Above this share of quarantined rows in any file the chain stops."""
    min_documents: int = Field(2, ge=2)
    """Fewer documents leave nothing to rank."""
    min_train_queries: int = Field(20, ge=1)
    """Fewer judged training queries leave nothing to learn from."""
    labels: tuple[int, ...] = (0, 1, 2, 3)
    """Relevance labels allowed in qrels."""
    duplicate_queries: Literal["quarantine", "warn"] = "quarantine"
    """Same text and same labels twice in one split: drop the later one, or only count it."""
    changes: Operating[ChangesConfig] = ChangesConfig()
    """Bounds of what may change between two versions."""
