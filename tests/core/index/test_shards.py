"""Embedding shards: round trip, resumption, damage."""

from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError, VectorError
from rabtriever_core.index.shards import shard_files, write_shards
from rabtriever_core.index.stored_documents import StoredDocuments


class Encoder:
    """Looks vectors up; counts what it was asked, and dies at a chosen document."""

    def __init__(self, vectors: np.ndarray, dies_at: str | None = None) -> None:
        self.vectors, self.dies_at = vectors, dies_at
        self.asked: list[str] = []

    def __call__(self, documents: list[Document]) -> np.ndarray:
        """Encode."""
        for document in documents:
            if document.id == self.dies_at:
                raise KeyboardInterrupt
        self.asked += [d.id for d in documents]
        return self.vectors[[int(d.id.split()[1]) for d in documents]]


def _write(folder: Path, documents: list[Document], encode: Encoder) -> None:
    write_shards(folder, documents, encode, dimension=8, shard_documents=7)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_round_trip(tmp_path: Path, documents: list[Document], vectors: np.ndarray) -> None:
    _write(tmp_path, documents, Encoder(vectors))
    stored = StoredDocuments.open(tmp_path)
    read = stored.states()
    assert stored.ids == [d.id for d in documents]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, vectors)
    assert [p.name for p in shard_files(tmp_path)] == [
        "ids.json",
        *(f"vectors-0000{i}.safetensors" for i in range(5)),
    ]
    assert len(list(tmp_path.iterdir())) == 6


def test_resumed_equals_uninterrupted(
    tmp_path: Path, documents: list[Document], vectors: np.ndarray
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _write(whole, documents, Encoder(vectors))
    with pytest.raises(KeyboardInterrupt):
        _write(killed, documents, Encoder(vectors, dies_at="doc 15"))
    with pytest.raises(ArtifactError, match=r"ids\.json"):
        StoredDocuments.open(killed)
    encoder = Encoder(vectors)
    _write(killed, documents, encoder)
    assert encoder.asked == [f"doc {i}" for i in range(14, 30)]
    assert _bytes(killed) == _bytes(whole)


def test_damaged_or_outdated_shards_are_written_anew(
    tmp_path: Path, documents: list[Document], vectors: np.ndarray
) -> None:
    _write(tmp_path, documents, Encoder(vectors))
    cut = tmp_path / "vectors-00001.safetensors"
    cut.write_bytes(cut.read_bytes()[:-5])
    with pytest.raises(ArtifactError, match="vectors-00001"):
        StoredDocuments.open(tmp_path)
    documents[0] = Document(id="doc 0", text="changed")
    encoder = Encoder(vectors)
    _write(tmp_path, documents[:20], encoder)
    # 0–6: a text changed; 7–13: cut short; 14–20: one document fewer; the rest is gone.
    assert encoder.asked == [f"doc {i}" for i in range(20)]
    stored = StoredDocuments.open(tmp_path)
    assert len(stored) == len(stored.states()) == 20


def test_missing_shard_is_noticed(
    tmp_path: Path, documents: list[Document], vectors: np.ndarray
) -> None:
    _write(tmp_path, documents, Encoder(vectors))
    (tmp_path / "vectors-00002.safetensors").unlink()
    with pytest.raises(ArtifactError, match="23 vectors for 30 ids"):
        StoredDocuments.open(tmp_path)


def test_nan_is_refused(tmp_path: Path, documents: list[Document], vectors: np.ndarray) -> None:
    vectors[9, 0] = np.nan
    with pytest.raises(VectorError, match="'doc 9' holds NaN"):
        _write(tmp_path, documents, Encoder(vectors))
    assert not (tmp_path / "vectors-00001.safetensors").exists()
