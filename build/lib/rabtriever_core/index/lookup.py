"""Documents of a collection: by their ids, or all of them."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import UnknownDocumentError
from rabtriever_core.index.filters import SearchFilter, qdrant_filter
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.vectors import point_id

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

PAGE = 1000
"""Documents that are read at once."""


def stored_documents(client: "QdrantClient", collection: str, ids: Sequence[str]) -> list[Document]:
    """Documents as they are stored, in the order of the ids.

    Raises:
        UnknownDocumentError: the collection lacks one; names the first few.
    """
    points = [point_id(id_) for id_ in ids]
    records = with_retry(lambda: client.retrieve(collection, points, with_payload=True))
    found = {str(record.id): record.payload or {} for record in records}
    absent = [id_ for id_, point in zip(ids, points, strict=True) if point not in found]
    if absent:
        shown = ", ".join(repr(id_[:80]) for id_ in absent[:5])
        raise UnknownDocumentError(
            f"{len(absent)} of {len(ids)} documents are not in the served collection: {shown}"
        )
    return [
        Document(id_, payload["text"], payload["title"])
        for id_, payload in ((id_, found[point]) for id_, point in zip(ids, points, strict=True))
    ]


def present(client: "QdrantClient", collection: str, ids: Iterable[str]) -> set[str]:
    """Those of some ids that a collection has documents of."""
    wanted = {point_id(id_): id_ for id_ in ids}
    points = list(wanted)
    found: set[str] = set()
    for start in range(0, len(points), PAGE):
        page = points[start : start + PAGE]
        records = with_retry(partial(client.retrieve, collection, page, with_payload=False))
        found |= {wanted[str(record.id)] for record in records}
    return found


def all_documents(
    client: "QdrantClient", collection: str, conditions: SearchFilter | None = None
) -> Iterator[Document]:
    """Every document, or all that pass a filter, as stored, in no order of meaning."""
    allowed, offset = qdrant_filter(conditions), None
    while True:
        records, offset = with_retry(
            partial(client.scroll, collection, allowed, PAGE, offset=offset, with_payload=True)
        )
        for record in records:
            payload = record.payload or {}
            yield Document(
                payload["document_id"],
                payload["text"],
                payload["title"],
                payload.get("metadata", {}),
            )
        if offset is None:
            return
