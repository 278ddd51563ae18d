"""What a collection's points hold, against what was uploaded: storage can be damaged unnoticed."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.collection import payload, upload
from rabtriever_core.index.lexical import parts
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.stored_documents import Shards
from rabtriever_core.index.vectors import point_id
from rabtriever_core.models.bm25_vectors import Row, TermVectors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_PAGE = 1000


def differing(
    client: "QdrantClient",
    physical: str,
    documents: Sequence[Document],
    stored: Shards,
    limit: int | None = None,
    words: TermVectors | None = None,
) -> list[int]:
    """Rows whose point is missing, or holds another vector, other words, text or metadata.

    Args:
        client: Qdrant.
        physical: the collection.
        documents: the m documents.
        stored: `StoredDocuments.stored_shards` of them.
        limit: points looked at, evenly spread; all when not given.
        words: the documents' BM25, where the collection has it.
    """
    wanted = np.array(spread(range(len(documents)), limit or len(documents)))
    found, start = [], 0
    for ids, vectors in stored:
        part, terms = documents[start : start + len(ids)], _part(words, start, len(ids))
        rows = (wanted[(wanted >= start) & (wanted < start + len(ids))] - start).tolist()
        differ = _differing(client, physical, part, vectors, terms, rows)
        found += [start + row for row in differ]
        start += len(ids)
    return found


def mend(
    client: "QdrantClient",
    physical: str,
    documents: Sequence[Document],
    stored: Shards,
    batch_size: int,
    words: TermVectors | None = None,
) -> list[str]:
    """Upload again what differs, in place; returns the ids of these documents."""
    mended, start = [], 0
    for ids, vectors in stored:
        part, terms = documents[start : start + len(ids)], _part(words, start, len(ids))
        rows = _differing(client, physical, part, vectors, terms, range(len(part)))
        upload(client, physical, part, vectors, rows, batch_size, terms)
        mended += [ids[row] for row in rows]
        start += len(ids)
    return mended


def _differing(
    client: "QdrantClient",
    physical: str,
    documents: Sequence[Document],
    vectors: np.ndarray,
    words: TermVectors | None,
    rows: Sequence[int],
) -> list[int]:
    """Which of some rows of a shard differ."""
    found = []
    for start in range(0, len(rows), _PAGE):
        page = rows[start : start + _PAGE]
        ids = [point_id(documents[row].id) for row in page]
        points = {
            str(point.id): point
            for point in with_retry(
                lambda ids=ids: client.retrieve(  # type: ignore[misc]
                    physical, ids, with_payload=True, with_vectors=True
                )
            )
        }
        for row, id_ in zip(page, ids, strict=True):
            point = points.get(id_)
            if (
                point is None
                or not _same(point.payload, payload(documents[row]))
                or not _same_vector(
                    point.vector, vectors[row], None if words is None else words[row]
                )
            ):
                found.append(row)
    return found


def _part(words: TermVectors | None, start: int, count: int) -> TermVectors | None:
    return None if words is None else words.part(start, start + count)


def _same_vector(stored: Any, vector: np.ndarray, terms: Row | None) -> bool:
    dense, found = parts(stored)
    numbers, weights = ([], []) if terms is None else (each.tolist() for each in terms)
    return (
        dense is not None
        and np.allclose(np.asarray(dense), vector, rtol=1e-5, atol=1e-7)
        and sorted(found) == numbers
        and np.allclose([found[number] for number in numbers], weights, rtol=1e-5)
    )


def _same(stored: Any, uploaded: Any) -> bool:
    """Equality of JSON values; a server's parser may read a number's last bit differently."""
    if isinstance(stored, dict) and isinstance(uploaded, dict):
        return stored.keys() == uploaded.keys() and all(
            _same(stored[name], uploaded[name]) for name in uploaded
        )
    if isinstance(stored, list) and isinstance(uploaded, list):
        return len(stored) == len(uploaded) and all(map(_same, stored, uploaded))
    if isinstance(uploaded, float) and isinstance(stored, int | float):
        return math.isclose(stored, uploaded, rel_tol=1e-12)
    return bool(stored == uploaded)
