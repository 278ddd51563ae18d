"""Builds on a real local Qdrant: round trip, resumed uploads, refusals."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError, IndexMismatchError, VectorError
from rabtriever_core.index import collection
from rabtriever_core.index.aliases import switch_alias
from rabtriever_core.index.checks.verification import verify_collection
from rabtriever_core.index.collection import build_collection, own_builds, physical_name
from rabtriever_core.index.connection import connect

A, B = "a" * 32, "b" * 32

UPLOADER = """
import sys, time
from pathlib import Path
import numpy as np
from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.index import collection
from rabtriever_core.index.connection import connect

upsert = collection._upsert
def slow(*args):
    upsert(*args)
    print("batch", flush=True)
    time.sleep(0.02)
collection._upsert = slow
titles = ["" if i % 3 else f"T{i}" for i in range(30)]
documents = [Document(id=f"doc {i}", title=titles[i], text=f"é {i}") for i in range(30)]
vectors = np.random.default_rng(3).standard_normal((30, 8)).astype(np.float32)
hashes = {"teacher": "t1", "student": "s1", "document_embeddings": "e1", "dataset": "d1"}
with connect(IndexConfig(), Path(sys.argv[1])) as client:
    collection.build_collection(client, "demo", "a" * 32, documents, vectors, hashes, 2)
"""


class Upload:
    """Counts uploaded points, and dies after a chosen number of batches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_after: int | None = None) -> None:
        self.points, self.batches, self.dies_after = 0, 0, dies_after
        self._upsert = collection._upsert
        monkeypatch.setattr(collection, "_upsert", self)

    def __call__(self, client: QdrantClient, physical: str, batch: list[Any]) -> None:
        """Stand in for `_upsert`."""
        if self.batches == self.dies_after:
            raise KeyboardInterrupt
        self.batches += 1
        self.points += len(batch)
        self._upsert(client, physical, batch)


def _contents(client: QdrantClient, name: str) -> dict[str, Any]:
    records, _ = client.scroll(name, limit=1000, with_vectors=True)
    return {str(r.id): (r.payload, np.float32(r.vector).tolist()) for r in records}


def test_physical_name() -> None:
    assert physical_name("demo", A + ".dir") == "demo__aaaaaaaaaaaa"
    with pytest.raises(ConfigError, match="a/b"):
        physical_name("a/b", A)
    with pytest.raises(ValueError, match="hex"):
        physical_name("demo", "short")


def test_round_trip(
    config: IndexConfig,
    tmp_path: Path,
    documents: list[Document],
    vectors: np.ndarray,
    hashes: dict[str, str],
) -> None:
    with connect(config, tmp_path) as client:
        name = build_collection(client, "demo", A, documents, vectors, hashes, 7)
        assert name == "demo__aaaaaaaaaaaa"
    with connect(config, tmp_path) as client:
        verify_collection(client, name, [d.id for d in documents], 8)
        assert client.get_collection(name).config.metadata == hashes | {"build": 1}
        stored = _contents(client, name).values()
        assert sorted((p["document_id"], p["title"], p["text"]) for p, _ in stored) == sorted(
            (d.id, d.title, d.text) for d in documents
        )
        by_id = {p["document_id"]: vector for p, vector in stored}
        np.testing.assert_array_equal([by_id[d.id] for d in documents], vectors)


def test_interrupted_upload_continues(
    client: QdrantClient,
    documents: list[Document],
    vectors: np.ndarray,
    hashes: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = (documents, vectors, hashes, 4)
    whole = build_collection(client, "whole", A, *arguments)
    with monkeypatch.context() as patch:
        upload = Upload(patch, dies_after=3)
        with pytest.raises(KeyboardInterrupt):
            build_collection(client, "demo", A, *arguments)
    with pytest.raises(IndexMismatchError, match="12 points, not 30"):
        verify_collection(client, "demo__aaaaaaaaaaaa", [d.id for d in documents], 8)
    upload = Upload(monkeypatch)
    name = build_collection(client, "demo", A, *arguments)
    assert upload.points == 18
    assert _contents(client, name) == _contents(client, whole)
    assert build_collection(client, "demo", A, *arguments) == name
    assert upload.points == 18  # complete: nothing is sent again
    assert own_builds(client, "demo") == {name: 1}


def test_killed_process_continues(
    config: IndexConfig,
    tmp_path: Path,
    documents: list[Document],
    vectors: np.ndarray,
    hashes: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOADER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(5):
        assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    upload = Upload(monkeypatch)
    with connect(config, tmp_path) as client:
        name = build_collection(client, "demo", A, documents, vectors, hashes, 2)
        assert 0 < upload.points <= 20
        verify_collection(client, name, [d.id for d in documents], 8)
        whole = build_collection(client, "whole", A, documents, vectors, hashes, 2)
        assert _contents(client, name) == _contents(client, whole)


def test_bad_vectors_are_refused_before_anything_is_created(
    client: QdrantClient, documents: list[Document], vectors: np.ndarray, hashes: dict[str, str]
) -> None:
    vectors[17, 3] = np.nan
    with pytest.raises(VectorError, match="'doc 17' holds NaN"):
        build_collection(client, "demo", A, documents, vectors, hashes, 4)
    with pytest.raises(VectorError, match="29 vectors for 30"):
        build_collection(client, "demo", A, documents, vectors[:29], hashes, 4)
    assert client.get_collections().collections == []


def test_other_contents_under_the_same_name_are_replaced(
    client: QdrantClient,
    documents: list[Document],
    vectors: np.ndarray,
    hashes: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload = Upload(monkeypatch)
    name = build_collection(client, "demo", A, documents, vectors, hashes, 30)
    other = hashes | {"teacher": "t2"}
    changes: list[tuple[Any, ...]] = [
        (documents, vectors, other),  # other metadata
        (documents, vectors[:, :4].copy(), other),  # other dimension
        (documents[:20], vectors[:20, :4].copy(), other),  # points that do not belong
    ]
    for number, (part, values, metadata) in enumerate(changes, start=2):
        assert build_collection(client, "demo", A, part, values, metadata, 30) == name
        assert upload.batches == number
        verify_collection(client, name, [d.id for d in part], values.shape[1])
    switch_alias(client, "demo", name)
    with pytest.raises(IndexMismatchError, match="served as 'demo' but was not built from"):
        build_collection(client, "demo", A, documents, vectors, hashes, 30)
    assert client.count("demo").count == 20


def test_build_numbers_follow_use(
    client: QdrantClient, documents: list[Document], vectors: np.ndarray, hashes: dict[str, str]
) -> None:
    for build in (A, B):
        build_collection(client, "demo", build, documents, vectors, hashes, 30)
    build_collection(client, "demo2", A, documents, vectors, hashes, 30)
    a, b = physical_name("demo", A), physical_name("demo", B)
    assert own_builds(client, "demo") == {a: 1, b: 2}
    build_collection(client, "demo", A, documents, vectors, hashes, 30)
    assert own_builds(client, "demo") == {a: 3, b: 2}
