"""Physical collections: one per build of an alias, uploaded resumably."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError, IndexMismatchError
from rabtriever_core.index.lexical import VECTOR, point_vector
from rabtriever_core.index.quantization import quantization_params
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.vectors import check_vectors, point_id
from rabtriever_core.models.bm25_vectors import TermVectors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import CollectionInfo, VectorParams

BUILD = "build"
"""Metadata key of the sequence number that tells older builds from newer ones."""
RELEASE = "release"
"""Metadata key of the release that the collection is served as; none before its promotion."""
_PAGE = 10_000


def physical_name(alias: str, build_hash: str) -> str:
    """Name of the collection that one build of an alias lives in: `<alias>__<hash12>`.

    Raises:
        ConfigError: Qdrant would not take the alias as a name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", alias):
        raise ConfigError(
            f"index.collection {alias!r} must be letters, digits, '.', '_' and '-', at most 200"
        )
    if not re.match(r"[0-9a-f]{12}", build_hash):
        raise ValueError(f"build hash {build_hash!r} must begin with 12 lower-case hex digits")
    return f"{alias}__{build_hash[:12]}"


def own_builds(client: "QdrantClient", alias: str) -> dict[str, int]:
    """Physical collections of an alias (and of no other) with their build numbers."""
    pattern = re.compile(re.escape(alias) + r"__[0-9a-f]{12}")
    builds = {}
    for collection in with_retry(client.get_collections).collections:
        if pattern.fullmatch(collection.name):
            metadata = client.get_collection(collection.name).config.metadata or {}
            if BUILD in metadata:
                builds[collection.name] = int(metadata[BUILD])
    return builds


def build_collection(
    client: "QdrantClient",
    alias: str,
    build_hash: str,
    documents: Sequence[Document],
    vectors: np.ndarray,
    metadata: Mapping[str, str],
    batch_size: int,
    quantization: str = "none",
    words: TermVectors | None = None,
) -> str:
    """Upload documents to the build's physical collection; a killed upload is continued.

    Args:
        client: Qdrant.
        alias: name that applications use; it is not touched here.
        build_hash: hash of everything the build is made from.
        documents: the m documents.
        vectors: float32 [m, d], in the documents' order.
        metadata: hashes of the artifacts behind the build.
        batch_size: points per request.
        quantization: see `IndexConfig.quantization`; local mode ignores it.
        words: the documents' BM25 in their order, where the collection has it.

    Returns:
        The physical collection's name.

    Raises:
        VectorError: a vector is unusable; nothing has been created.
        IndexMismatchError: a collection of that name is served but has other contents.
    """
    from qdrant_client import models
    from tqdm import tqdm

    check_vectors(vectors, vectors.shape[-1], [d.id for d in documents])
    physical = physical_name(alias, build_hash)
    points = [point_id(d.id) for d in documents]
    present = _reusable_points(client, physical, set(points), vectors.shape[1], metadata)
    builds = own_builds(client, alias)
    newest = max(builds.values(), default=0)
    if present is None:
        client.create_collection(
            physical,
            vectors_config=models.VectorParams(
                size=vectors.shape[1],
                distance=models.Distance.DOT,
                # Read for few candidates only: memory is for the quantized ones.
                on_disk=None if quantization == "none" else True,
            ),
            **quantization_params(quantization),
            sparse_vectors_config=None if words is None else {VECTOR: models.SparseVectorParams()},
            metadata={**metadata, BUILD: newest + 1},
        )
    elif builds[physical] < newest:
        # Built again after later ones: it is the newest now, and pruned last.
        client.update_collection(physical, metadata={BUILD: newest + 1})
    missing = [row for row, point in enumerate(points) if point not in (present or ())]
    with tqdm(total=len(points), desc="upload", unit="doc", disable=None) as bar:
        bar.update(len(points) - len(missing))
        for done in _uploaded(client, physical, documents, vectors, missing, batch_size, words):
            bar.update(done)
    return physical


def vector_params(info: "CollectionInfo") -> "VectorParams | None":
    """Size and distance of a collection's unnamed vector, where it has one."""
    from qdrant_client import models

    vectors = info.config.params.vectors
    return vectors if isinstance(vectors, models.VectorParams) else None


def stored_points(client: "QdrantClient", physical: str) -> set[str]:
    """Ids of all points of a collection."""
    found: set[str] = set()
    offset: Any = None
    while True:
        records, offset = client.scroll(
            physical, limit=_PAGE, offset=offset, with_payload=False, with_vectors=False
        )
        found.update(str(record.id) for record in records)
        if offset is None:
            return found


def upload(
    client: "QdrantClient",
    physical: str,
    documents: Sequence[Document],
    vectors: np.ndarray,
    rows: Sequence[int],
    batch_size: int,
    words: TermVectors | None = None,
) -> None:
    """Write the points of some rows, new or over what is there."""
    for _ in _uploaded(client, physical, documents, vectors, rows, batch_size, words):
        pass


def _uploaded(
    client: "QdrantClient",
    physical: str,
    documents: Sequence[Document],
    vectors: np.ndarray,
    rows: Sequence[int],
    batch_size: int,
    words: TermVectors | None,
) -> Iterator[int]:
    """Upload batch by batch; gives the size of each."""
    from qdrant_client import models

    for start in range(0, len(rows), batch_size):
        batch = [
            models.PointStruct(
                id=point_id(documents[row].id),
                vector=point_vector(vectors[row], None if words is None else words[row]),
                payload=payload(documents[row]),
            )
            for row in rows[start : start + batch_size]
        ]
        _upsert(client, physical, batch)
        yield len(batch)


def payload(document: Document) -> dict[str, Any]:
    """What is stored beside a document's vector."""
    said = {"metadata": dict(document.metadata)} if document.metadata else {}
    return {"document_id": document.id, "title": document.title, "text": document.text, **said}


def _upsert(client: "QdrantClient", physical: str, batch: list[Any]) -> None:
    with_retry(lambda: client.upsert(physical, points=batch, wait=True))


def _reusable_points(
    client: "QdrantClient",
    physical: str,
    wanted: set[str],
    dimension: int,
    metadata: Mapping[str, str],
) -> set[str] | None:
    """Points to keep of an earlier, perhaps killed, upload; None when there is nothing to keep."""
    if not with_retry(lambda: client.collection_exists(physical)):
        return None
    info = client.get_collection(physical)
    stored = dict(info.config.metadata or {})
    stored.pop(RELEASE, None)
    params = vector_params(info)
    fits = (
        stored.pop(BUILD, None) is not None
        and stored == dict(metadata)
        and params is not None
        and params.size == dimension
    )
    present = stored_points(client, physical)
    if fits and present <= wanted:
        return present
    aliases = client.get_collection_aliases(physical).aliases
    if aliases:
        raise IndexMismatchError(
            f"collection {physical} is served as {aliases[0].alias_name!r} but was not built from "
            "the artifacts here: delete it in Qdrant, then run `rabtriever run qdrant_collection`"
        )
    client.delete_collection(physical)
    return None
