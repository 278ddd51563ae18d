"""Settings of index, benchmark, gates and automation."""

from typing import Literal

from pydantic import Field, model_validator

from rabtriever_core.config.component import Component
from rabtriever_core.config.gauge import GaugeConfig


class IndexConfig(Component):
    """The Qdrant collection that applications query."""

    url: str | None = None
    """Qdrant server; local mode in the workspace's `qdrant/` when unset. Environment:
    QDRANT_URL."""
    api_key: str | None = Field(None, exclude=True, repr=False)
    """Environment: QDRANT_API_KEY; never written anywhere."""
    collection: str | None = None
    """Alias that applications use; the data set's name when unset."""
    batch_size: int = Field(256, ge=1)
    """Points per upload request."""
    shard_documents: int = Field(4096, ge=1)
    """Documents per embedding shard; a killed embedding resumes after the last one."""
    canaries: int = Field(20, ge=1)
    """Dev queries whose ranking is compared before and after a release is served."""
    keep_collections: int = Field(3, ge=1)
    """Physical collections kept: the served one, a candidate, those to go back to in an instant.
    Older releases are uploaded again from their stored embeddings."""
    timeout_seconds: float = Field(30, gt=0)
    """Of one request to a server."""
    gauge: GaugeConfig = GaugeConfig()
    """Coordinates of the stored vectors."""
    exact: bool = True
    """Compare a query with every document; off, a server walks its HNSW graph."""
    quantization: Literal["none", "int8", "binary"] = "none"
    """Small copies of the vectors that a server keeps in memory and searches (exact: false)."""
    rescore: bool = True
    """Score what quantized vectors found anew with the full ones: margins are the model's again."""
    oversampling: float = Field(4.0, ge=1)
    """Candidates per hit that are scored anew."""

    @model_validator(mode="after")
    def _quantized_vectors_are_used(self) -> "IndexConfig":
        if self.quantization != "none" and self.exact:
            raise ValueError(
                f"quantization = {self.quantization} is not used by an exact search: "
                "set exact to false as well"
            )
        return self


class BenchmarkConfig(Component):
    """What is compared, and how."""

    max_queries: int | None = Field(None, ge=1)
    """Queries per split, a fixed sample; all when unset."""
    include_dev: bool = False
    """Benchmark the dev split as well, though choices were made on it."""
    dev_queries: int = Field(300, ge=1)
    """Dev queries that trained systems are measured on after training, and where they stop early.
    Another value of this or of dev_documents trains nothing anew: it holds from the next training
    on (`rabtriever run teacher --force` asks for one)."""
    dev_documents: int = Field(1000, ge=2)
    """Documents that these queries are ranked over: all of a small corpus; of a larger one those
    judged for them and a random sample of the rest, since the teacher reads every pair."""
    depth: int = Field(100, ge=10)
    """Ranking depth of every system."""
    permutations: int = Field(10_000, ge=100)
    """Resamples of the paired randomization test."""
    latency_queries: int = Field(30, ge=1)
    """Queries timed one at a time per system."""
    document_lengths: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Document lengths in tokens for the response-time curve."""


class GatesConfig(Component):
    """What a candidate must reach to be served."""

    teacher_mrr: float = Field(0.3, ge=0, le=1)
    """Teacher's MRR@10 on dev must reach this."""
    student_share: float = Field(0.9, ge=0, le=2)
    """Student's MRR@10 on dev over the teacher's must reach this."""
    top10_agreement: float = Field(1.0, ge=0, le=1)
    """Share of the top ten that index and model must agree on."""
    max_loss: float = Field(0.01, ge=0, le=1)
    """Most that the student's MRR@10 may fall below the served release's, on the same queries of
    any split of the benchmark."""
    significance: float = Field(0.05, ge=0, lt=1)
    """A loss of any size is refused where its p-value (paired test, corrected over splits) is
    below this; 0 leaves it to max_loss."""
    max_p95_ms: float | None = Field(None, gt=0)
    """Longest time of a query through the student, 95th percentile of the benchmark; no limit when
    unset."""
    max_bytes: int | None = Field(None, ge=1)
    """Largest size of a collection's vectors, quantized copies included; no limit when unset."""
    canary_depth: int = Field(10, ge=1)
    """Places in which canaries.jsonl looks for a document, where a canary does not say."""


class ReleasesConfig(Component):
    """How long releases that are no longer served can be brought back."""

    keep: int = Field(10, ge=1)
    """Newest releases kept, with everything they need; beside them always the served one and the
    one served before."""
    keep_days: float | None = Field(None, ge=0)
    """Older ones than `keep` are kept for this many days, too."""


class RetrainingConfig(Component):
    """How much is trained again when the data change."""

    max_changed_share: float = Field(0.2, ge=0, le=1)
    """Above this share of training examples that are new or gone the teacher is trained again, too;
    below it the predictor alone."""


class AutomationConfig(Component):
    """Schedules of the Dagster deployment; off unless switched on."""

    retrain_cron: str = "0 3 * * 1"
    """When the weekly retraining starts (UTC)."""
    retrain_enabled: bool = False
    """Switch the weekly retraining on."""
    max_retries: int = Field(1, ge=0)
    """Retries of a failed asset, with exponential back-off."""
