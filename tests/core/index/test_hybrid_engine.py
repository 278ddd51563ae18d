"""Search by margin + weight · BM25 on Qdrant's own engine, which is that of a server."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.collection import payload
from rabtriever_core.index.hybrid import hybrid_search
from rabtriever_core.index.lexical import VECTOR, Lexical, point_vector
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.vectors import point_id
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.bm25_vectors import TermVectors

edge = pytest.importorskip("qdrant_edge", reason="needs the extra edge")


def _sparse(vector: models.SparseVector) -> Any:
    return edge.SparseVector(vector.indices, vector.values)


class Engine:
    """The engine with the one method of a client that a search asks."""

    def __init__(self, folder: Path, dimension: int) -> None:
        folder.mkdir()
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Dot),
            sparse_vectors={VECTOR: edge.EdgeSparseVectorParams()},
        )
        self.shard = edge.EdgeShard.create(str(folder), config)

    def upload(self, documents: Sequence[Document], vectors: np.ndarray, words: Any) -> None:
        """Points as `build_collection` makes them."""
        points = []
        for row, document in enumerate(documents):
            vector: Any = point_vector(vectors[row], words[row])
            if VECTOR in vector:
                vector = vector | {VECTOR: _sparse(vector[VECTOR])}
            points.append(edge.Point(uuid.UUID(point_id(document.id)), vector, payload(document)))
        self.shard.update(edge.UpdateOperation.upsert_points(points))

    def query_batch_points(self, _: str, requests: Sequence[models.QueryRequest]) -> Any:
        """As the client of that name."""
        return [SimpleNamespace(points=self._points(request)) for request in requests]

    def _points(self, asked: models.QueryRequest) -> list[models.ScoredPoint]:
        prefetches = [
            edge.Prefetch(
                limit=each.limit,
                query=edge.Query.Nearest(_sparse(each.query), using=each.using),
            )
            for each in asked.prefetch or ()
        ]
        request = edge.QueryRequest(
            limit=asked.limit,
            query=edge.Query.Nearest(asked.query),
            prefetches=prefetches,
            with_vector=asked.with_vector,
            with_payload=True,
            params=edge.SearchParams(exact=asked.params.exact),
        )
        return [self._point(point) for point in self.shard.query(request)]

    def _point(self, found: Any) -> models.ScoredPoint:
        sparse = (found.vector or {}).get(VECTOR)
        terms = sparse and models.SparseVector(indices=sparse.indices, values=sparse.values)
        return models.ScoredPoint(
            id=str(found.id),
            version=0,
            score=found.score,
            payload=found.payload,
            vector={VECTOR: terms} if terms else {},
        )


def test_the_engine_ranks_by_the_sum_over_all_documents(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vocabulary = [f"word{n}" for n in range(40)]
    documents = [
        Document(f"{n:03d}", " ".join(rng.choice(vocabulary, rng.integers(0, 9))))
        for n in range(300)
    ]
    vectors = rng.standard_normal((300, 6)).astype(np.float32)
    index = Bm25.fit(documents, "none")
    words = TermVectors.of(index)
    engine: Any = Engine(tmp_path / "shard", 6)
    engine.upload(documents, vectors, words)
    texts = [" ".join(rng.choice(vocabulary, 3)) for _ in range(20)] + ["nothing known"]
    placed = QueryVectors.plain(rng.standard_normal((21, 6)).astype(np.float32))
    for weight in (0.1, 1.0, 10.0):
        sums = placed.vectors @ vectors.T + weight * index.scores(texts)
        lexical = Lexical.of(words, weight)
        for row, hits in enumerate(hybrid_search(engine, "", placed, texts, lexical, 7)):
            best = np.argsort(-sums[row])[:7]
            assert [hit.document_id for hit in hits] == [documents[n].id for n in best]
            margins = placed.vectors[row] @ vectors[best].T
            np.testing.assert_allclose([hit.margin for hit in hits], margins, rtol=1e-4, atol=1e-5)
    engine.shard.close()
