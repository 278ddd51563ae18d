"""Settings of querying: the client, and the service over HTTP."""

from pydantic import Field

from rabtriever_core.config.component import Component, Operating


class ServingConfig(Component):
    """How applications are answered."""

    refresh_seconds: Operating[float] = Field(1.0, gt=0)
    """How often a reader looks whether another release is served."""
    rerank_depth: int = Field(20, ge=1, le=1000)
    """First documents of the student that the teacher reads where a query asks for reranking."""
    rerank_below: float = Field(0.9, ge=0, le=1)
    """`rerank: auto` asks the teacher where the student's best document is less probable than this
    (calibrated). The benchmark report shows what that gains and costs, and what dev suggests."""
    prefix_cache_mib: Operating[int] = Field(256, ge=0)
    """Memory for documents that the teacher has read: the next query need not wait for that."""
    max_batch: Operating[int] = Field(32, ge=1)
    """Queries that wait at the same time and are then encoded together, at most."""
    max_waiting: Operating[int] = Field(256, ge=1)
    """Queries that may wait; one more is told to come back later (429)."""
    timeout_seconds: Operating[float] = Field(10.0, gt=0)
    """A query that waited this long is given up (503)."""
    max_body_bytes: Operating[int] = Field(1_000_000, ge=1000)
    """Of one request (413)."""
    log_queries: Operating[bool] = False
    """Write the texts of queries into the log; they may be private."""
    feedback: Operating[bool] = True
    """Store what users judge right or wrong in the data set's feedback.jsonl: the next validation
    makes training examples of it."""
    cors_origins: Operating[tuple[str, ...]] = ()
    """Web pages of these origins may ask the service from a browser, e.g. https://example.org."""
