"""Search by margin + weight · BM25: both lists in one request, the best of their sum proven.

Of each query, one part of the request asks for the best documents by margin, the other for the best
by BM25, scored by margin. Points bring their terms, so that both scores are known of all of them.
A document in neither list has no higher score than the last of each list have together: once the
k-th sum is above that, the k best of the whole collection are found. Where it is not, the lists are
asked for again, longer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.index.hit import Hit
from rabtriever_core.index.lexical import VECTOR, Lexical, parts, score
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.search import hit_of, in_blocks, request
from rabtriever_core.models.bm25_vectors import Counts

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter, QueryRequest, ScoredPoint, SearchParams

_LOOK_AHEAD = 16
"""Places of a list beyond k; on our sets this proves nearly every ranking at once."""
_ROUNDING = 1e-6
"""Of a BM25 score: Qdrant adds up in another order than we do."""


def hybrid_search(
    client: "QdrantClient",
    collection: str,
    queries: QueryVectors,
    texts: Sequence[str],
    lexical: Lexical,
    k: int | Sequence[int],
    params: "SearchParams | None" = None,
    filters: SearchFilter | Sequence[SearchFilter | None] | None = None,
) -> list[list[Hit]]:
    """Rank documents by margin + weight · BM25, and by document id where sums are equal.

    Hits carry both, so that a margin stays a margin. Exact where `params` are, as `search` is.

    Args:
        client: Qdrant.
        collection: alias or physical collection; it has BM25.
        queries: n queries, from the query tower of this collection.
        texts: their n texts.
        lexical: the collection's.
        k: as for `search`.
        params: as for `search`.
        filters: as for `search`.

    Raises:
        VectorError: as for `search`; likewise IndexMismatchError, FilterError and ValueError.
    """
    counts = lexical.vocabulary.counts(texts)
    return in_blocks(
        lambda part, depths, allowed, params: _search_batch(
            client, collection, queries[part], counts[part], lexical.weight, depths, allowed, params
        ),
        queries,
        k,
        params,
        filters,
    )


def _search_batch(
    client: "QdrantClient",
    collection: str,
    queries: QueryVectors,
    counts: Sequence[Counts],
    weight: float,
    depths: Sequence[int],
    filters: Sequence["Filter | None"],
    params: "SearchParams",
) -> list[list[Hit]]:
    rankings: list[list[Hit]] = [[] for _ in depths]
    limits, rows = [2 * k + _LOOK_AHEAD for k in depths], list(range(len(depths)))
    while rows:
        requests = []
        for row in rows:
            vector = queries.vectors[row].tolist()
            requests += _requests(vector, counts[row], limits[row], filters[row], params)
        found = iter(request(client, collection, requests))
        open_rows = []
        for row in rows:
            query, placed = counts[row], (float(queries.scales[row]), float(queries.offsets[row]))
            by_margin = _hits(next(found), query, *placed)
            by_words = _hits(next(found), query, *placed) if query else []
            # Later ones win: their margins are exact, whatever the search of the others was.
            known = {hit.document_id: hit for hit in [*by_margin, *by_words]}
            ranked = sorted(known.values(), key=lambda h: (-combined(h, weight), h.document_id))
            k, limit = depths[row], limits[row]
            if len(by_margin) < limit or combined(ranked[k - 1], weight) > _bound(
                by_margin, by_words, limit, weight
            ):
                rankings[row] = ranked[:k]
            else:
                open_rows.append(row)
                limits[row] *= 4
        rows = open_rows
    return rankings


def _requests(
    vector: list[float],
    query: Counts,
    limit: int,
    allowed: "Filter | None",
    params: "SearchParams",
) -> list["QueryRequest"]:
    """What one query asks for: the best by margin; the best by BM25 where it has a known word."""
    from qdrant_client import models

    by_margin = models.QueryRequest(
        query=vector,
        filter=allowed,
        limit=limit,
        params=params,
        with_payload=True,
        with_vector=[VECTOR],
    )
    if not query:
        return [by_margin]
    terms = models.SparseVector(
        indices=list(query), values=[float(count) for count in query.values()]
    )
    by_words = models.Prefetch(query=terms, using=VECTOR, filter=allowed, limit=limit)
    exact = models.SearchParams(exact=True)
    return [by_margin, by_margin.model_copy(update={"prefetch": [by_words], "params": exact})]


def _hits(points: "Sequence[ScoredPoint]", query: Counts, scale: float, offset: float) -> list[Hit]:
    return [
        replace(hit_of(point, scale, offset), bm25=score(query, parts(point.vector)[1]))
        for point in points
    ]


def combined(hit: Hit, weight: float) -> float:
    """What a hit of `hybrid_search` is ranked by."""
    return hit.margin + weight * (hit.bm25 or 0.0)


def _bound(by_margin: Sequence[Hit], by_words: Sequence[Hit], limit: int, weight: float) -> float:
    """What no document in neither list exceeds; without BM25 in a list that ended before."""
    last = min((hit.bm25 or 0.0) for hit in by_words) if len(by_words) == limit else 0.0
    return min(hit.margin for hit in by_margin) + weight * last * (1 + _ROUNDING)
