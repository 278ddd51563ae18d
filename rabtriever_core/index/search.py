"""Search: query vectors in, ranked documents out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.vectors import check_queries
from rabtriever_core.models.calibration import sigmoid

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import ScoredPoint, SearchParams

_QUERIES_PER_REQUEST = 64
# Hits asked for beyond k, to see whether ties straddle the cut.
_LOOK_AHEAD = 8


@dataclass(frozen=True)
class Hit:
    """One document of a ranking."""

    document_id: str
    title: str
    text: str
    margin: float
    """The model's T−F logit."""
    probability: float
    """σ(margin); what it is worth, the calibration says."""
    calibrated: float | None = None
    """Probability that the document is right, fitted on dev; None without a calibration."""
    fits: bool | None = None
    """Whether that reaches the threshold for an answer; None where there is no threshold."""
    teacher_margin: float | None = None
    """The teacher's T−F logit, where it read this document for the query."""

    @property
    def document(self) -> Document:
        """What the models read."""
        return Document(self.document_id, self.text, self.title)


def search(
    client: "QdrantClient",
    collection: str,
    queries: QueryVectors,
    k: int,
    params: "SearchParams | None" = None,
) -> list[list[Hit]]:
    """Rank documents for every query: by margin, and by document id where margins are equal.

    Args:
        client: Qdrant.
        collection: alias or physical collection.
        queries: n queries, from the query tower of this collection.
        k: hits per query; fewer when the collection is smaller.
        params: how to search; every document is compared with where they are not given.

    Raises:
        VectorError: a query vector is not finite.
        IndexMismatchError: a point is damaged.
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    from qdrant_client import models

    check_queries(queries.vectors)
    params = params or models.SearchParams(exact=True)
    rankings: list[list[Hit]] = []
    for start in range(0, len(queries), _QUERIES_PER_REQUEST):
        batch = queries[start : start + _QUERIES_PER_REQUEST]
        rankings += _search_batch(client, collection, batch, k, params)
    return rankings


def _search_batch(
    client: "QdrantClient", collection: str, queries: QueryVectors, k: int, params: "SearchParams"
) -> list[list[Hit]]:
    """Widen the limit of those queries whose ties go beyond it, so that the cut is determined."""
    rankings: list[list[Hit]] = [[] for _ in range(len(queries))]
    limit, rows = k + _LOOK_AHEAD, list(range(len(queries)))
    while rows:
        open_rows = []
        responses = _request(client, collection, queries.vectors[rows], limit, params)
        for row, points in zip(rows, responses, strict=True):
            if len(points) == limit and points[-1].score == points[k - 1].score:
                open_rows.append(row)
            else:
                scale, offset = float(queries.scales[row]), float(queries.offsets[row])
                rankings[row] = sorted(
                    (_hit(point, scale, offset) for point in points),
                    key=lambda hit: (-hit.margin, hit.document_id),
                )[:k]
        rows, limit = open_rows, 4 * limit
    return rankings


def _request(
    client: "QdrantClient",
    collection: str,
    queries: np.ndarray,
    limit: int,
    params: "SearchParams",
) -> list[list["ScoredPoint"]]:
    from qdrant_client import models

    requests = [
        models.QueryRequest(
            query=query.tolist(),
            limit=limit,
            params=params,
            with_payload=True,
        )
        for query in queries
    ]
    responses = with_retry(lambda: client.query_batch_points(collection, requests=requests))
    return [response.points for response in responses]


def _hit(point: "ScoredPoint", scale: float, offset: float) -> Hit:
    payload = point.payload or {}
    absent = [field for field in ("document_id", "title", "text") if field not in payload]
    if absent:
        raise IndexMismatchError(
            f"point {point.id} in Qdrant has no {', '.join(absent)}: the collection is damaged, or "
            "something else wrote to it; `rabtriever releases restore` uploads it again"
        )
    margin = point.score * scale + offset
    return Hit(
        document_id=payload["document_id"],
        title=payload["title"],
        text=payload["text"],
        margin=margin,
        probability=float(sigmoid(margin)),
    )
