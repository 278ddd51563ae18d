"""Settings of querying: the client, and the service over HTTP."""

from typing import Annotated

from pydantic import Field

from rabtriever_core.config.component import Component, Operating, Shown


class PageConfig(Component):
    """What visitors of the search page read."""

    title: str = ""
    """Its heading; the data set's name where this is empty."""
    placeholder: str = "Your situation or question"
    """What the empty search field says."""
    examples: (
        tuple[Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")], ...] | None
    ) = None
    """Queries that visitors can click on. By default up to three of the dev split that the served
    release answers rightly; `[]` shows none."""


class ServingConfig(Component):
    """How the client and the query service answer."""

    refresh_seconds: Operating[float] = Field(1.0, gt=0)
    """Seconds between two looks at which release is served."""
    rerank_depth: Shown[int] = Field(20, ge=1, le=1000)
    """How many of the student's best documents the teacher reranks when asked to."""
    rerank_below: Shown[float] = Field(0.9, ge=0, le=1)
    """`rerank: auto` asks the teacher when the best probability is below this. The benchmark report
    shows what that gains and costs, and which value dev suggests."""
    prefix_cache_mib: Operating[int] = Field(256, ge=0)
    """Memory, in MiB, for the states of documents that the teacher has read, so that the next query
    need not wait for them."""
    max_batch: Operating[int] = Field(32, ge=1)
    """Most waiting queries that are encoded together."""
    max_waiting: Operating[int] = Field(256, ge=1)
    """Most queries that may wait; further ones get HTTP 429."""
    timeout_seconds: Operating[float] = Field(10.0, gt=0)
    """A query that has waited this long gets HTTP 503."""
    max_body_bytes: Operating[int] = Field(1_000_000, ge=1000)
    """Largest size of a request; larger ones get HTTP 413."""
    log_queries: Shown[Operating[bool]] = False
    """Write the text of queries, which may be private, to the log."""
    feedback: Shown[Operating[bool]] = True
    """Store users' judgements in the data set's feedback.jsonl, for the next training."""
    open_metrics: Operating[bool] = False
    """Answer /metrics without an API key, although keys are in use. It holds no texts, but says how
    much is asked."""
    cors_origins: Operating[tuple[str, ...]] = ()
    """Origins of web pages that may call the service from a browser, e.g. https://example.org."""
    page: Operating[PageConfig] = PageConfig()
