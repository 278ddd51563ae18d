"""Documents of a collection by their ids."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import UnknownDocumentError
from rabtriever_core.index.filters import SearchFilter, qdrant_filter
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.vectors import point_id

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


_PAGE = 1000


def every_document(
    client: "QdrantClient", collection: str, conditions: SearchFilter | None = None
) -> list[Document]:
    """All documents that pass a filter, by id.

    Raises:
        FilterError: the filter is none.
    """
    allowed = qdrant_filter(conditions)
    found: list[Document] = []
    offset = None
    while True:
        page = partial(client.scroll, collection, allowed, _PAGE, offset=offset, with_payload=True)
        records, offset = with_retry(page)
        payloads = (record.payload or {} for record in records)
        found += [
            Document(p["document_id"], p["text"], p["title"], p.get("metadata", {}))
            for p in payloads
        ]
        if offset is None:
            return sorted(found, key=lambda document: document.id)


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
