"""The same round trip on a Qdrant server, where one is running."""

import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.index.aliases import alias_target, physical_collection, prune, switch_alias
from rabtriever_core.index.checks.verification import verify_collection
from rabtriever_core.index.collection import build_collection, own_builds
from rabtriever_core.index.connection import connect
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.search import search

pytestmark = pytest.mark.skipif(
    not os.environ.get("QDRANT_URL"), reason="no Qdrant server: QDRANT_URL is not set"
)


def test_blue_green_on_a_server(
    tmp_path: Path, documents: list[Document], vectors: np.ndarray, hashes: dict[str, str]
) -> None:
    config = IndexConfig(
        url=os.environ["QDRANT_URL"], api_key=os.environ.get("QDRANT_API_KEY") or None
    )
    alias, ids = f"rabtriever-test-{uuid.uuid4().hex[:8]}", [d.id for d in documents]
    with connect(config, tmp_path) as client:
        try:
            for build in ("a" * 12, "b" * 12, "a" * 12):
                name = build_collection(client, alias, build, documents, vectors, hashes, 7)
                verify_collection(client, name, ids, 8)
                switch_alias(client, alias, name)
            assert alias_target(client, alias) == name
            assert physical_collection(client, name).count == 30
            hits = search(client, alias, QueryVectors.plain(vectors[:5]), 10)
            order = np.argsort(-(vectors[:5] @ vectors.T), axis=1)[:, :10]
            assert [[h.document_id for h in row] for row in hits] == [
                [ids[r] for r in row] for row in order
            ]
            assert prune(client, alias, 1) == [f"{alias}__{'b' * 12}"]
        finally:
            for name in own_builds(client, alias):
                client.delete_collection(name)
