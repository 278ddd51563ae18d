"""A small corpus with vectors, a local Qdrant, and one upload of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.index.connection import connect

HASHES = {"teacher": "t1", "student": "s1", "document_embeddings": "e1", "dataset": "d1"}


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document(id=f"doc {i}", title="" if i % 3 else f"T{i}", text=f"é {i}") for i in range(30)
    ]


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((30, 8)).astype(np.float32)


@pytest.fixture
def hashes() -> dict[str, str]:
    return dict(HASHES)


@pytest.fixture
def config() -> IndexConfig:
    return IndexConfig()


@pytest.fixture
def client(config: IndexConfig, tmp_path: Path) -> Iterator[QdrantClient]:
    with connect(config, tmp_path / "qdrant") as open_client:
        yield open_client
