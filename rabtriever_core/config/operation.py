"""Settings of index, benchmark, gates and automation."""

import re
from typing import Literal

from pydantic import Field, NonNegativeFloat, field_validator, model_validator

from rabtriever_core.config.component import Component, Operating, Shown
from rabtriever_core.config.gauge import GaugeConfig
from rabtriever_core.config.secrets import checked_address, checked_key, keep_secret

_CRON_EXAMPLE = "`0 3 * * 1` is Mondays at three, `0 1 * * *` every night at one"


class IndexConfig(Component):
    """The Qdrant collection that applications search."""

    url: Shown[Operating[str | None]] = None
    """Qdrant server; null runs it locally in `qdrant/`. QDRANT_URL in the environment overrides it.
    A server without the collection is given it from the stored embeddings. Port and path are taken
    as written: https://host is port 443, Qdrant itself listens on http://host:6333."""
    api_key: Operating[str | None] = Field(None, exclude=True, repr=False)
    """Key of the Qdrant server. Set QDRANT_API_KEY in the environment; it is never written
    anywhere."""
    collection: Operating[str | None] = None
    """Alias that applications search; the data set's name when null. A new alias gets a
    collection of its own."""
    batch_size: Operating[int] = Field(256, ge=1)
    """Documents per upload request."""
    shard_documents: Operating[int] = Field(4096, ge=1)
    """Documents per file of embeddings. A killed run resumes after the last whole file."""
    probe_queries: int = Field(20, ge=1)
    """Dev queries that a collection must answer the same before and after it is served."""
    keep_collections: Operating[int] = Field(3, ge=1)
    """How many physical collections are kept: the served one, a candidate, and those that a
    rollback reaches at once. Older releases are uploaded again from their stored embeddings."""
    timeout_seconds: Operating[float] = Field(30, gt=0)
    """Time limit of one request to the server."""
    gauge: GaugeConfig = GaugeConfig()
    """The coordinates that vectors are stored in."""
    exact: Shown[bool] = True
    """Compare a query with every document; false searches the HNSW graph."""
    quantization: Shown[Literal["none", "int8", "binary"]] = "none"
    """Search smaller copies of the vectors: none, int8 or binary (with exact: false)."""
    rescore: bool = True
    """Score the hits of a quantized search again with the full vectors, so that margins are the
    model's."""
    oversampling: float = Field(4.0, ge=1)
    """How many candidates per hit are scored again."""
    bm25_weight: NonNegativeFloat | Literal["auto"] = 0.0
    """Rank by margin + bm25_weight · BM25, which finds documents by rare words, names and numbers
    too; 0 by the margin alone. auto: dev chooses, and takes 0 where no weight gains clearly. The
    report says what it would gain."""

    query_tower: Literal["onnx", "onnx-int8", "torch"] = "onnx"
    """What encodes queries in service: an ONNX graph, fast on CPUs and without need of torch, with
    weights in float32 or int8 (a quarter as large, faster, ranks almost alike); or torch, for a
    GPU. A model that cannot be exported is served by torch, and the stage says so."""

    @field_validator("url", "api_key", mode="before")
    @classmethod
    def _without_space_around(cls, value: object) -> object:
        return _stripped(value)

    @field_validator("url")
    @classmethod
    def _is_no_secret(cls, value: str | None) -> str | None:
        return value and checked_address(value)

    @field_validator("api_key")
    @classmethod
    def _can_be_sent(cls, value: str | None) -> str | None:
        if value:
            keep_secret(value)
            checked_key(value)
        return value

    @model_validator(mode="after")
    def _quantized_vectors_are_used(self) -> "IndexConfig":
        if self.quantization != "none" and self.exact:
            raise ValueError(
                f"quantization = {self.quantization} is not used by an exact search: "
                "set exact to false as well"
            )
        return self


class BenchmarkConfig(Component):
    """What the benchmark report compares, and how."""

    max_queries: Shown[int | None] = Field(None, ge=1)
    """Queries per split, a fixed sample; null takes all."""
    include_dev: Shown[bool] = False
    """Report the dev split as well, although choices were made on it."""
    dev_queries: Operating[int] = Field(300, ge=1)
    """How many dev queries a model is measured on after its training and for early stopping. A new
    value of this or of dev_documents trains nothing again; it takes effect with the next training
    (`rabtriever run teacher --force`)."""
    dev_documents: Operating[int] = Field(1000, ge=2)
    """How many documents these queries are ranked over: those judged for them, and a random sample
    of the rest. The teacher reads every pair, so a large corpus is not ranked whole."""
    depth: int = Field(100, ge=10)
    """How many documents every system ranks for a query."""
    teacher_pairs: int = Field(4_000_000, ge=1)
    """Most pairs of queries and documents in a split that rerankers read. Where there are more,
    they rank only the student's best documents."""
    teacher_depth: int = Field(100, ge=10)
    """How many of the student's best documents rerankers then rank."""
    permutations: int = Field(10_000, ge=100)
    """Resamples of the paired randomization test."""
    latency_queries: int = Field(30, ge=1)
    """How many queries are timed one at a time, for every system."""
    document_lengths: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Document lengths, in tokens, of the response-time curve."""


class GatesConfig(Component):
    """What a new release must reach before it is served."""

    teacher_mrr: Shown[float] = Field(0.3, ge=0, le=1)
    """Lowest MRR@10 of the teacher on dev."""
    student_share: Shown[float] = Field(0.9, ge=0, le=2)
    """Lowest MRR@10 of the student on dev, as a share of the teacher's."""
    top10_agreement: float = Field(1.0, ge=0, le=1)
    """Lowest share of the top ten that index and model agree on."""
    max_loss: Shown[float] = Field(0.01, ge=0, le=1)
    """Most that MRR@10 may fall below that of the served release. Student against student, on the
    same queries, in any split of the benchmark."""
    significance: float = Field(0.05, ge=0, lt=1)
    """A loss of any size is refused when its p-value is below this (paired test, corrected over
    splits); 0 leaves the decision to max_loss."""
    max_p95_ms: float | None = Field(None, gt=0)
    """Longest time of a query through the student, as the 95th percentile in the benchmark; no
    limit when null."""
    max_bytes: int | None = Field(None, ge=1)
    """Largest size of a collection's vectors, quantized copies included; no limit when null."""
    canary_depth: int = Field(10, ge=1)
    """How deep in the ranking a canary of canaries.jsonl looks for its document, unless it says so
    itself."""


class ReleasesConfig(Component):
    """How long earlier releases can be brought back."""

    keep: int = Field(10, ge=1)
    """How many of the newest releases are kept, with everything they need. The served one and the
    one served before it are always kept."""
    keep_days: float | None = Field(None, ge=0)
    """Older releases are kept for this many days as well; null keeps none of them."""


class RetrainingConfig(Component):
    """How much is trained again when the data change."""

    max_changed_share: float = Field(0.2, ge=0, le=1)
    """`rabtriever retrain` trains the teacher again when more than this share of the training
    examples is new or gone; otherwise it trains the predictor alone."""


class AutomationConfig(Component):
    """What the Dagster deployment does by itself; everything is off until you switch it on."""

    retrain_cron: Shown[str] = "0 3 * * 1"
    """When the retraining starts: a cron schedule in UTC."""
    retrain_enabled: Shown[bool] = False
    """Retrain by that schedule."""
    reindex_cron: str = "0 1 * * *"
    """When the re-index starts: a cron schedule in UTC."""
    reindex_enabled: bool = False
    """Build the index again by that schedule."""
    watch_data: Shown[bool] = False
    """Retrain as far as needed when the data set or data.dvc changes."""
    watch_seconds: int = Field(30, ge=5)
    """Seconds between two looks at the data."""
    settle_seconds: float = Field(60, ge=0)
    """How long new data must have stayed the same before they are used, so that a folder that is
    still being copied starts nothing."""
    canary_cron: str = "0 6 * * *"
    """When the served release is asked the queries of canaries.jsonl: a cron schedule in UTC."""
    canary_enabled: bool = False
    """Ask them by that schedule; failures are reported to the webhook."""
    canary_retrain: bool = False
    """Also run the whole pipeline when a canary fails, once for the same failures of a release."""
    freshness_hours: float | None = Field(None, gt=0)
    """Collection and release count as overdue when no run has confirmed them for this long; never
    when null. A schedule must run at least as often."""
    webhook_url: str | None = Field(None, exclude=True, repr=False)
    """Where failed runs, refused releases and failing canaries are reported, as JSON by POST.
    Whoever knows the address can often post there, so better set RABTRIEVER_AUTOMATION__WEBHOOK_URL
    in the environment; it is never written anywhere."""
    webhook_timeout_seconds: float = Field(10, gt=0)
    """Time limit of one attempt to reach the webhook."""
    webhook_attempts: int = Field(4, ge=1)
    """How often the webhook is tried, with growing pauses, before a notice is given up and
    logged."""
    ui_url: str = "http://localhost:3000"
    """Address of the Dagster UI, for links in notices."""
    max_retries: int = Field(1, ge=0)
    """How often a failed asset is tried again, with exponential back-off. What would fail the same
    way is not: a refused release, unfit data, a wrong setting."""

    @field_validator("retrain_cron", "reindex_cron", "canary_cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        # The parser that Dagster has a copy of.
        from croniter import CroniterError, croniter

        try:
            fields = len(croniter.expand(value)[0])
            croniter(value).get_next()  # the 30th of February never comes
        except CroniterError as error:
            raise ValueError(f"not a cron schedule ({error}): {_CRON_EXAMPLE}") from None
        if fields != 5:
            raise ValueError(f"a cron schedule has five fields, not {fields}: {_CRON_EXAMPLE}")
        return value

    @field_validator("webhook_url", "ui_url", mode="before")
    @classmethod
    def _without_space_around(cls, value: object) -> object:
        return _stripped(value)

    @field_validator("webhook_url")
    @classmethod
    def _is_secret(cls, value: str | None) -> str | None:
        if value:
            keep_secret(value)
        return value

    @field_validator("ui_url")
    @classmethod
    def _is_no_secret(cls, value: str) -> str:
        return checked_address(value)

    @field_validator("webhook_url", "ui_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"https?://[^/\s]+\S*", value):
            raise ValueError("not an address: expected http://host/path or https://host/path")
        return value or None


def _stripped(value: object) -> object:
    """A text without the white space around it, such as the line end of a mounted secret."""
    return value.strip() or None if isinstance(value, str) else value
