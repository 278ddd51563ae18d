"""Settings of index, benchmark, gates and automation."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rabtriever_core.config.component import Component, Operating
from rabtriever_core.config.gauge import GaugeConfig

_CRON_EXAMPLE = "`0 3 * * 1` is Mondays at three, `0 1 * * *` every night at one"


class IndexConfig(Component):
    """The Qdrant collection that applications query."""

    url: Operating[str | None] = None
    """Qdrant server; local mode in the workspace's `qdrant/` when unset. Environment:
    QDRANT_URL."""
    api_key: Operating[str | None] = Field(None, exclude=True, repr=False)
    """Environment: QDRANT_API_KEY; never written anywhere."""
    collection: Operating[str | None] = None
    """Alias that applications use; the data set's name when unset."""
    batch_size: Operating[int] = Field(256, ge=1)
    """Points per upload request."""
    shard_documents: Operating[int] = Field(4096, ge=1)
    """Documents per embedding shard; a killed embedding resumes after the last one."""
    probe_queries: int = Field(20, ge=1)
    """Dev queries that a collection must answer the same before and after it is served."""
    keep_collections: Operating[int] = Field(3, ge=1)
    """Physical collections kept: the served one, a candidate, those to go back to in an instant.
    Older releases are uploaded again from their stored embeddings."""
    timeout_seconds: Operating[float] = Field(30, gt=0)
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
    dev_queries: Operating[int] = Field(300, ge=1)
    """Dev queries that trained systems are measured on after training, and where they stop early.
    Another value of this or of dev_documents trains nothing anew: it holds from the next training
    on (`rabtriever run teacher --force` asks for one)."""
    dev_documents: Operating[int] = Field(1000, ge=2)
    """Documents that these queries are ranked over: all of a small corpus; of a larger one those
    judged for them and a random sample of the rest, since the teacher reads every pair."""
    depth: int = Field(100, ge=10)
    """Ranking depth of every system."""
    teacher_pairs: int = Field(4_000_000, ge=1)
    """Above this many pairs of a split's queries and the documents, rerankers rank only the
    student's best."""
    teacher_depth: int = Field(100, ge=10)
    """How many of these they rank then."""
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
    """What the Dagster deployment does by itself; everything is off unless switched on here."""

    retrain_cron: str = "0 3 * * 1"
    """When the weekly retraining starts (UTC)."""
    retrain_enabled: bool = False
    """Switch the weekly retraining on."""
    reindex_cron: str = "0 1 * * *"
    """When the nightly re-index starts (UTC)."""
    reindex_enabled: bool = False
    """Switch the nightly re-index on."""
    watch_data: bool = False
    """Run the whole chain when files of the data set, or data.dvc, have new content."""
    watch_seconds: int = Field(30, ge=5)
    """How often the data are looked at."""
    settle_seconds: float = Field(60, ge=0)
    """New data are used once they have stayed as they are for this long: a folder that is still
    being copied starts nothing."""
    canary_cron: str = "0 6 * * *"
    """When the served release is asked the queries of canaries.jsonl (UTC)."""
    canary_enabled: bool = False
    """Switch that on; a failure is told to the webhook."""
    canary_retrain: bool = False
    """Run the whole chain, too, when a canary fails; once for a release and what fails in it."""
    freshness_hours: float | None = Field(None, gt=0)
    """Collection and release count as overdue when no run has confirmed them for this long; never
    when unset. A schedule has to run at least as often."""
    webhook_url: str | None = Field(None, exclude=True, repr=False)
    """Where failed runs, refused releases and failing canaries are told, as JSON by POST. Such an
    address often holds a secret: it is never written anywhere."""
    webhook_timeout_seconds: float = Field(10, gt=0)
    """Of one attempt to reach the webhook, which is told of failed runs, refused releases and
    failing canaries; nobody is without one. Its address is `webhook_url` in this section or, since
    whoever knows it can often write there, RABTRIEVER_AUTOMATION__WEBHOOK_URL in the
    environment."""
    webhook_attempts: int = Field(4, ge=1)
    """With growing pauses in between; then the notice is given up and logged."""
    ui_url: str = "http://localhost:3000"
    """Address of the Dagster UI, for the links in notices."""
    max_retries: int = Field(1, ge=0)
    """Retries of a failed asset, with exponential back-off; none where the outcome would be the
    same (a refused release, data that are unfit, a wrong setting)."""

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

    @field_validator("webhook_url", "ui_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"https?://[^/\s]+\S*", value):
            raise ValueError("not an address: expected http://host/path or https://host/path")
        return value or None
