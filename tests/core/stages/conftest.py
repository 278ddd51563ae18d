"""A workspace with finished input artifacts and a student that hashes words."""

import sys
import types
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabtriever_core.config import RuntimeConfig, Settings
from rabtriever_core.data.dataset import Dataset, Document, write_dataset
from rabtriever_core.stages.kept import keep
from rabtriever_core.workspace import Workspace
from tests.core import standin_teacher
from tests.core.inputs import finished

DATASET = Dataset(
    name="demo",
    documents=tuple(Document(id=f"d{i}", text=f"tale {i} of {i % 7}") for i in range(40)),
    queries={f"q{i}": f"tell {i} of {i % 5}" for i in range(12)},
    qrels={
        "train": {f"q{i}": {f"d{i}": 1} for i in range(8)},
        "dev": {f"q{i}": {f"d{i}": 1} for i in range(8, 12)},
    },
)


class FakeStudent:
    """The interface of Student on word hashes."""

    dimension = 16
    encoder = types.SimpleNamespace(rounding=0.0)
    encoded: list[str]
    """Ids of the documents it was asked to encode."""
    defect: Callable[[np.ndarray], np.ndarray]
    """Applied to document vectors and not to `margin`."""

    @classmethod
    def load(cls, folder: Path, teacher: Path, runtime: RuntimeConfig) -> "FakeStudent":
        """Check that both folders are the artifacts'."""
        assert (folder / "weights").is_file()
        assert (teacher / "weights").is_file()
        return cls()

    def _vectors(self, texts: Sequence[str], salt: int) -> np.ndarray:
        return np.stack(
            [
                np.sum(
                    [
                        np.random.default_rng(zlib.crc32(word.encode()) + salt).standard_normal(16)
                        for word in text.split()
                    ],
                    axis=0,
                )
                for text in texts
            ]
        ).astype(np.float32)

    def encode_documents(
        self, documents: Sequence[Document], batch_size: int = 64, *, progress: bool = False
    ) -> np.ndarray:
        """[m, 16]."""
        type(self).encoded += [d.id for d in documents]
        return type(self).defect(self._vectors([d.full_text for d in documents], 0))

    def document_vectors(self, states: np.ndarray) -> np.ndarray:
        """[m, 16] as they are."""
        return states

    def encode_queries(
        self, queries: Sequence[str], batch_size: int = 64, *, progress: bool = False
    ) -> np.ndarray:
        """[n, 16]."""
        return self._vectors(queries, 1)

    def encode_queries_with_offsets(self, queries: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """[n, 16] and zeros [n]."""
        return self._vectors(queries, 1), np.zeros(len(queries), dtype=np.float32)

    def margin(self, queries: Sequence[str], documents: Sequence[Document]) -> np.ndarray:
        """[n, m], computed apart from the vectors."""
        documents_ = self._vectors([d.full_text for d in documents], 0)
        return np.einsum("nd,md->nm", self._vectors(queries, 1), documents_)


class FakeReader:
    """The interface of DocumentReader, on the same word hashes."""

    dimension = 16

    @classmethod
    def load(cls, teacher: Path, runtime: RuntimeConfig) -> "FakeReader":
        """Check that the folder is the artifact's."""
        assert (teacher / "weights").is_file()
        return cls()

    def states(self, documents: Sequence[Document]) -> np.ndarray:
        """[m, 16]."""
        return FakeStudent().encode_documents(documents)


@pytest.fixture
def student(monkeypatch: pytest.MonkeyPatch) -> type[FakeStudent]:
    fake: Any = types.ModuleType("rabtriever_core.models.student")
    states: Any = types.ModuleType("rabtriever_core.models.states")
    fake.Student, states.DocumentReader = FakeStudent, FakeReader
    for module in (fake, states):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(FakeStudent, "encoded", [], raising=False)
    monkeypatch.setattr(FakeStudent, "defect", staticmethod(lambda v: v), raising=False)
    standin_teacher.install(monkeypatch, lambda _: FakeStudent().margin)
    return FakeStudent


def build_workspace(
    root: Path,
    weights: str = "1",
    *,
    teacher_weights: str = "teacher",
    dataset: Dataset = DATASET,
    keep_models: bool = False,
    **sections: Any,
) -> Workspace:
    """Data set, teacher and student artifacts in `root`, as the stages before would leave them.

    With `keep_models` only the data are new: the models there are kept for them.
    """
    # No graph of a stand-in.
    index = {"query_tower": "torch"} | sections.pop("index", {})
    workspace = Workspace(root, Settings(index=index, **sections))
    build = partial(finished, workspace, dataset.fingerprint)

    def model(stage: str, parents: dict[str, str], content: str) -> str:
        return build(
            stage,
            parents,
            lambda folder: (folder / "weights").write_text(content),
            {},
            content=content,
        )

    if keep_models:
        build("validated_dataset", {}, lambda folder: write_dataset(dataset, folder))
        keep(workspace, ("teacher", "student"))
        return workspace
    data = build("validated_dataset", {}, lambda folder: write_dataset(dataset, folder))
    teacher = model("teacher", {"validated_dataset": data}, teacher_weights)
    model("student", {"validated_dataset": data, "teacher": teacher}, weights)
    return workspace


@pytest.fixture
def workspace(tmp_path: Path, student: type[FakeStudent]) -> Workspace:
    return build_workspace(tmp_path, index={"shard_documents": 15, "probe_queries": 3})


@pytest.fixture
def make_workspace() -> Callable[..., Workspace]:
    return build_workspace
