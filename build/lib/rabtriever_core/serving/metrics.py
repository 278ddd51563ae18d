"""What the query service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_QUERIES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rabtriever_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "rabtriever_request_seconds",
            "Time from request to answer by route.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "rabtriever_batch_queries",
            "Queries encoded together.",
            buckets=_QUERIES,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "rabtriever_waiting_queries",
            "Queries that wait for an answer.",
            registry=self.registry,
        )
        self.reranked = Counter(
            "rabtriever_reranked_queries",
            "Queries whose documents the teacher put in order.",
            registry=self.registry,
        )
        self.unfit = Counter(
            "rabtriever_unanswered_queries",
            "Queries of which no document reached the least probability.",
            registry=self.registry,
        )
        self.stale = Gauge(
            "rabtriever_release_stale",
            "1 where the last look for the served release failed.",
            registry=self.registry,
        )
        self.release = Gauge(
            "rabtriever_release",
            "Number of the release that answers; 0 where none does.",
            registry=self.registry,
        )
