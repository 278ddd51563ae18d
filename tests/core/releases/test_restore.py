"""A damaged or lost collection is restored as it was, whatever predictor and gauge made it."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from qdrant_client import models

from rabtriever_core.config import RuntimeConfig, StudentConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.index.connection import connect
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.releases.live import check_served_index
from rabtriever_core.releases.promotion import promote, restore
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import logged_release, served_now
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import Student

PREDICTORS = {
    "gated": StudentConfig(),
    # Its vectors are as long as the states, so that states would fit into its collection unnoticed.
    "wide": StudentConfig(predictor="wide", rank=15),
    "additive": StudentConfig(predictor="additive"),
}
GAUGES: dict[str, dict[str, Any]] = {
    **{method: {"method": method} for method in ("none", "center", "pca", "whiten", "balanced")},
    **{f"{m} 9": {"method": m, "dimensions": 9} for m in ("pca", "whiten", "balanced")},
    "spread": {"method": "none", "spread": True},
}
QUANTIZATIONS = ("none", "int8", "binary")
CASES = [
    pytest.param((predictor, gauge, quantization), id=f"{predictor}, {gauge}, {quantization}")
    for predictor in PREDICTORS
    for row, gauge in enumerate(GAUGES)
    # The additive predictor's vectors have one dimension: nothing can be left out.
    if not (predictor == "additive" and "dimensions" in GAUGES[gauge])
    # Local mode stores the same points whatever is set: each with every predictor is enough.
    for quantization in (QUANTIZATIONS if gauge == "balanced" else [QUANTIZATIONS[row % 3]])
]
ASKED = ("tell 4", "tell 11", "tell 17")


class PredictorStudent(Student):
    """The student of these tests with a real predictor between states and vectors."""

    encoder = SimpleNamespace(rounding=1e-6)
    config = StudentConfig()

    def __init__(self, salt: int, wrong: Sequence[int]) -> None:
        super().__init__(salt, wrong)
        self.predictor = make_predictor(16, self.config, seed=1).eval()
        self.direction = torch.linspace(-1, 1, 16)

    @property
    def dimension(self) -> int:  # type: ignore[override]
        """Of the vectors, not of the states."""
        return self.predictor.vector_size

    @classmethod
    def load(cls, folder: Path, teacher: Path, runtime: RuntimeConfig) -> "PredictorStudent":
        """Open the two artifacts."""
        load_artifact(folder, parents={"teacher": load_artifact(teacher).hash})
        return cls(int((teacher / "weights").read_text()), ())

    def document_vectors(self, states: np.ndarray) -> np.ndarray:
        """[m, 16] → [m, v]."""
        with torch.inference_mode():
            return self.predictor.document_vectors(torch.from_numpy(states), self.direction).numpy()

    def encode_documents(self, documents: Sequence[Document], **_: Any) -> np.ndarray:
        """[m, v]."""
        return self.document_vectors(super().encode_documents(documents))

    def encode_queries(self, queries: Sequence[str], **_: Any) -> np.ndarray:
        """[n, v]."""
        return self.encode_queries_with_offsets(queries)[0]

    def encode_queries_with_offsets(self, queries: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """[n, v] and [n]."""
        e_q = torch.from_numpy(super().encode_queries(queries))
        with torch.inference_mode():
            return (
                self.predictor.query_vectors(e_q, self.direction).numpy(),
                self.predictor.query_offsets(e_q, self.direction).numpy(),
            )

    def margin(self, queries: Sequence[str], documents: Sequence[Document]) -> np.ndarray:
        """[n, m], by the predictor's states."""
        e_q = torch.from_numpy(super().encode_queries(queries))
        e_d = torch.from_numpy(super().encode_documents(documents))
        with torch.inference_mode():
            states = self.predictor.states(e_q, e_d.expand(len(e_q), *e_d.shape))
            return (states @ self.direction).numpy()


@pytest.fixture
def workspace(
    request: pytest.FixtureRequest, make: Make, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    predictor, gauge, quantization = request.param
    fake: Any = sys.modules["rabtriever_core.models.student"]
    monkeypatch.setattr(fake, "Student", PredictorStudent)
    monkeypatch.setattr(PredictorStudent, "config", PREDICTORS[predictor])
    index = {
        "gauge": GAUGES[gauge],
        "quantization": quantization,
        "exact": quantization == "none",
        "shard_documents": 10,
    }
    workspace = make(index=index)
    assert promote(workspace, by="ana").decision == "promoted"
    return workspace


def _answers(workspace: Workspace) -> list[list[tuple[str, float]]]:
    return [
        [(hit.document_id, hit.margin) for hit in ask(workspace, text, 24).hits] for text in ASKED
    ]


def _points(workspace: Workspace, release: Release) -> dict[str, tuple[Any, Any]]:
    with connect(workspace.settings.index, workspace.qdrant) as client:
        points, _ = client.scroll(release.collection, limit=100, with_vectors=True)
    return {str(point.id): (point.vector, point.payload) for point in points}


@pytest.mark.parametrize("workspace", CASES, indirect=True)
def test_what_is_restored_is_what_was_served(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    release = served_now(workspace)
    assert logged_release(workspace) == release
    answers, points = _answers(workspace), _points(workspace, release)
    first, second, *_ = points
    with connect(workspace.settings.index, workspace.qdrant) as client:
        flipped = [-value for value in points[first][0]]
        client.update_vectors(
            release.collection, [models.PointVectors(id=first, vector=flipped)], wait=True
        )
        client.set_payload(release.collection, {"text": "forged"}, points=[second], wait=True)
    assert "the stored vector or text of 2 documents" in check_served_index(workspace).problem
    with caplog.at_level(logging.WARNING):
        restore(workspace, by="eve")
    assert "2 documents were damaged in Qdrant" in caplog.text
    assert _points(workspace, release) == points
    assert _answers(workspace) == answers
    # Lost as a whole, it is built again from the same states.
    with connect(workspace.settings.index, workspace.qdrant) as client:
        client.delete_collection(release.collection)
    restore(workspace, by="eve")
    assert _points(workspace, release) == points
    assert _answers(workspace) == answers
    live = check_served_index(workspace)
    assert (live.problem, live.agreement, live.count) == ("", 1.0, len(points))
