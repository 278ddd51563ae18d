"""A collection of local mode in memory: read once, then searched without the folder's lock."""

from typing import TYPE_CHECKING

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.collection import vector_params

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_PAGE = 1000


def in_memory(client: "QdrantClient", collection: str) -> "QdrantClient":
    """A client in memory that holds a copy of one collection: same vectors, same search.

    Raises:
        IndexMismatchError: it is no collection of this project.
    """
    from qdrant_client import QdrantClient, models

    info = client.get_collection(collection)
    params = vector_params(info)
    if params is None:
        raise IndexMismatchError(f"collection {collection} was not built by rabtriever")
    copy = QdrantClient(":memory:")
    copy.create_collection(
        collection,
        vectors_config=models.VectorParams(size=params.size, distance=params.distance),
        sparse_vectors_config=info.config.params.sparse_vectors,
        metadata=info.config.metadata,
    )
    offset = None
    while True:
        records, offset = client.scroll(
            collection, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True
        )
        if records:
            copy.upsert(
                collection,
                [
                    # As they were stored; the type allows for vectors that are not returned.
                    models.PointStruct(id=r.id, vector=r.vector, payload=r.payload)  # type: ignore[arg-type]
                    for r in records
                ],
            )
        if offset is None:
            return copy
