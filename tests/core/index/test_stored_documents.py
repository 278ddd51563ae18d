"""Stored documents: the same rows whole, chosen and by shard; nobody else makes vectors of them."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rabtriever_core
from rabtriever_core.config import GaugeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ArtifactError
from rabtriever_core.index import stored_documents
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.shards import write_shards
from rabtriever_core.index.stored_documents import StoredDocuments

ROOT = Path(rabtriever_core.__file__).parent
ROWS = [29, 3, 3, 14, 0]


@pytest.fixture
def stored(tmp_path: Path, documents: list[Document], vectors: np.ndarray) -> StoredDocuments:
    rows = iter(vectors)
    write_shards(
        tmp_path,
        documents,
        lambda part: np.stack([next(rows) for _ in part]),
        dimension=8,
        shard_documents=7,
    )
    return StoredDocuments.open(tmp_path)


@pytest.fixture
def tower(vectors: np.ndarray) -> QueryTower:
    map_ = np.random.default_rng(5).standard_normal((8, 5)).astype(np.float32)
    student: Any = SimpleNamespace(document_vectors=lambda states: states @ map_)
    return QueryTower(student, Gauge.fit(GaugeConfig(method="pca", dimensions=4), vectors @ map_))


def test_whole_chosen_and_by_shard_are_the_same_bits(
    stored: StoredDocuments, tower: QueryTower, vectors: np.ndarray
) -> None:
    assert (len(stored), stored.state_size) == (30, 8)
    np.testing.assert_array_equal(stored.states(), vectors)
    np.testing.assert_allclose(
        stored.stored(tower), tower.gauge.documents(tower.student.document_vectors(vectors)), 1e-4
    )
    student = tower.student
    for whole, chosen, empty, shards in (
        (stored.states(), stored.states(ROWS), stored.states([]), stored.state_shards()),
        (
            stored.vectors(student),
            stored.vectors(student, ROWS),
            stored.vectors(student, []),
            stored.vector_shards(student),
        ),
        (
            stored.stored(tower),
            stored.stored(tower, ROWS),
            stored.stored(tower, []),
            stored.stored_shards(tower),
        ),
    ):
        parts = list(shards)
        assert [len(part) for _, part in parts] == [7, 7, 7, 7, 2]
        assert [id_ for ids, _ in parts for id_ in ids] == stored.ids
        np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), whole)
        np.testing.assert_array_equal(chosen, whole[ROWS])
        assert empty.shape == (0, whole.shape[1])


def test_only_the_shards_with_wanted_rows_are_read(
    stored: StoredDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = stored_documents._read, []

    def counted(file: Path) -> np.ndarray:
        asked.append(file)
        return read(file)

    monkeypatch.setattr(stored_documents, "_read", counted)
    stored.states([8, 29, 9])
    assert asked == [stored.files[1], stored.files[4]]
    asked.clear()
    next(stored.state_shards())
    assert asked == [stored.files[0]]


def test_other_documents_are_refused(stored: StoredDocuments, documents: list[Document]) -> None:
    stored.check_of(documents)
    with pytest.raises(ArtifactError, match="of other documents than the data set"):
        stored.check_of(documents[::-1])


def test_damage_is_named(stored: StoredDocuments) -> None:
    # The header is whole: opening does not notice.
    content = bytearray(stored.files[2].read_bytes())
    stored.files[2].write_bytes(content.replace(b'"vectors"', b'"vektors"'))
    with pytest.raises(ArtifactError, match=r"vectors-00002\.safetensors is damaged"):
        StoredDocuments.open(stored.files[2].parent)
    with pytest.raises(ArtifactError, match=r"vectors-00002\.safetensors is damaged"):
        stored.states()
    stored.files[2].unlink()
    with pytest.raises(ArtifactError, match="23 vectors for 30 ids"):
        StoredDocuments.open(stored.files[0].parent)


def _users(name: str) -> set[str]:
    """Modules outside models and training that use a method of this name, or import a function."""
    found = set()
    for path in ROOT.rglob("*.py"):
        module = path.relative_to(ROOT)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            method = isinstance(node, ast.Attribute) and node.attr == name
            function = isinstance(node, ast.ImportFrom) and name in [a.name for a in node.names]
            if (method or function) and module.parts[0] not in ("models", "training"):
                found.add(module.as_posix())
    return found


def test_nobody_else_takes_the_steps_from_states_to_stored_vectors() -> None:
    owner = "index/stored_documents.py"
    # The others are modules of another library, which read texts and no artifact.
    of_another_library = {"export_student.py", "sentence_transformers.py"}
    others = {f"integrations/{name}" for name in of_another_library}
    assert _users("document_vectors") == {owner, *others}
    # States as they are: to reuse them, to measure their norms, for the teacher's cosine.
    assert _users("states") | _users("state_shards") == {
        "index/reuse.py",
        "stages/document_embeddings.py",
        "stages/benchmark_report.py",
    }
    assert _users("shard_files") == {owner, "stages/document_embeddings.py"}
