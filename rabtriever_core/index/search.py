"""Search: query vectors in, ranked documents out."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.filters import SearchFilter, qdrant_filter
from rabtriever_core.index.hit import Hit
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.vectors import check_queries
from rabtriever_core.models.probability import sigmoid

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter, QueryRequest, ScoredPoint, SearchParams

Value = TypeVar("Value")
Batch = Callable[
    [slice, Sequence[int], Sequence["Filter | None"], "SearchParams"], list[list["Hit"]]
]
"""Ranks some of the queries: which; k, filter of each; how to search."""

_QUERIES_PER_REQUEST = 64
# Hits asked for beyond k, to see whether ties straddle the cut.
_LOOK_AHEAD = 8


def search(
    client: "QdrantClient",
    collection: str,
    queries: QueryVectors,
    k: int | Sequence[int],
    params: "SearchParams | None" = None,
    filters: SearchFilter | Sequence[SearchFilter | None] | None = None,
) -> list[list[Hit]]:
    """Rank documents for every query: by margin, and by document id where margins are equal.

    Args:
        client: Qdrant.
        collection: alias or physical collection.
        queries: n queries, from the query tower of this collection.
        k: hits, of all queries or of each; fewer where no more documents pass the filter.
        params: how to search; every document is compared with where they are not given.
        filters: which documents may be found, by all queries or by each; None for all documents.

    Raises:
        VectorError: a query vector is not finite.
        IndexMismatchError: a point is damaged.
        FilterError: a filter is none.
        ValueError: k is below 1, or there are not as many values as queries.
    """
    return in_blocks(
        lambda part, depths, allowed, params: _search_batch(
            client, collection, queries[part], depths, allowed, params
        ),
        queries,
        k,
        params,
        filters,
    )


def in_blocks(
    batch: Batch,
    queries: QueryVectors,
    k: int | Sequence[int],
    params: "SearchParams | None",
    filters: SearchFilter | Sequence[SearchFilter | None] | None,
) -> list[list[Hit]]:
    """Check what is asked, and ask it in requests of bounded size; as for `search`."""
    from qdrant_client import models

    count = len(queries)
    depths = per_query("k", k, count)
    if least := [depth for depth in depths if depth < 1]:
        raise ValueError(f"k must be at least 1, got {least[0]}")
    allowed = [qdrant_filter(each) for each in per_query("filters", filters, count)]
    check_queries(queries.vectors)
    params = params or models.SearchParams(exact=True)
    rankings: list[list[Hit]] = []
    for start in range(0, count, _QUERIES_PER_REQUEST):
        part = slice(start, start + _QUERIES_PER_REQUEST)
        rankings += batch(part, depths[part], allowed[part], params)
    return rankings


def per_query(name: str, value: Value | Sequence[Value], count: int) -> list[Value]:
    """One value for all queries, or one for each, as a list.

    Raises:
        ValueError: there are not as many as queries.
    """
    if not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{len(value)} values of {name} for {count} queries")
    return list(value)


def _search_batch(
    client: "QdrantClient",
    collection: str,
    queries: QueryVectors,
    depths: Sequence[int],
    filters: Sequence["Filter | None"],
    params: "SearchParams",
) -> list[list[Hit]]:
    """Widen the limit of those queries whose ties go beyond it, so that the cut is determined."""
    from qdrant_client import models

    rankings: list[list[Hit]] = [[] for _ in depths]
    limits, rows = [k + _LOOK_AHEAD for k in depths], list(range(len(depths)))
    while rows:
        requests = [
            models.QueryRequest(
                query=queries.vectors[row].tolist(),
                filter=filters[row],
                limit=limits[row],
                params=params,
                with_payload=True,
            )
            for row in rows
        ]
        open_rows = []
        for row, points in zip(rows, request(client, collection, requests), strict=True):
            k = depths[row]
            if len(points) == limits[row] and points[-1].score == points[k - 1].score:
                open_rows.append(row)
                limits[row] *= 4
            else:
                scale, offset = float(queries.scales[row]), float(queries.offsets[row])
                rankings[row] = sorted(
                    (hit_of(point, scale, offset) for point in points),
                    key=lambda hit: (-hit.margin, hit.document_id),
                )[:k]
        rows = open_rows
    return rankings


def request(
    client: "QdrantClient", collection: str, requests: list["QueryRequest"]
) -> list[list["ScoredPoint"]]:
    """Ask several things of a collection at once."""
    responses = with_retry(lambda: client.query_batch_points(collection, requests=requests))
    return [response.points for response in responses]


def hit_of(point: "ScoredPoint", scale: float, offset: float) -> Hit:
    """A point with its margin: score · scale + offset."""
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
        metadata=payload.get("metadata", {}),
    )
