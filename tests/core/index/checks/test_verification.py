"""Verification: a collection that is not whole is refused, and told why."""

import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client.models import CollectionStatus, PointStruct

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.checks.verification import verify_collection
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.vectors import point_id


def test_verification_names_what_differs(
    client: QdrantClient, documents: list[Document], vectors: np.ndarray, hashes: dict[str, str]
) -> None:
    name = build_collection(client, "demo", "a" * 12, documents, vectors, hashes, 30)
    ids = [d.id for d in documents]
    with pytest.raises(IndexMismatchError, match="not 9-dimensional"):
        verify_collection(client, name, ids, 9)
    with pytest.raises(IndexMismatchError, match="30 points, not 29"):
        verify_collection(client, name, ids[:29], 8)
    with pytest.raises(IndexMismatchError, match=r"1 documents missing, e\.g\. 'other'"):
        verify_collection(client, name, [*ids[:29], "other"], 8)
    client.upsert(
        name, [PointStruct(id=point_id("doc 3"), vector=[0.0] * 8, payload={"title": "t"})]
    )
    with pytest.raises(IndexMismatchError, match="payload field 'document_id' in 29 points"):
        verify_collection(client, name, ids, 8)


def test_waits_until_the_index_is_built(
    client: QdrantClient,
    documents: list[Document],
    vectors: np.ndarray,
    hashes: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = build_collection(client, "demo", "a" * 12, documents, vectors, hashes, 30)
    ids, info = [d.id for d in documents], client.get_collection(name)
    states = [CollectionStatus.GREY, CollectionStatus.YELLOW, CollectionStatus.GREEN]
    monkeypatch.setattr(
        client, "get_collection", lambda _: info.model_copy(update={"status": states.pop(0)})
    )
    verify_collection(client, name, ids, 8)
    states[:] = [CollectionStatus.RED]
    with pytest.raises(IndexMismatchError, match="status is red"):
        verify_collection(client, name, ids, 8)
    states[:] = [CollectionStatus.YELLOW]
    with pytest.raises(IndexMismatchError, match="status is yellow after 0 s"):
        verify_collection(client, name, ids, 8, green_seconds=0)
