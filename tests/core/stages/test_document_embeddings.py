"""The embedding stage, run as the pipeline runs it."""

from typing import Any

import numpy as np
import pytest

from rabtriever_core.errors import VectorError
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace


def test_artifact_and_metrics(workspace: Workspace, student: Any) -> None:
    artifact = run_stage(workspace, "document_embeddings")
    documents = StoredDocuments.open(artifact.folder)
    assert documents.ids == [f"d{i}" for i in range(40)]
    assert sorted(p.name for p in artifact.folder.iterdir()) == [
        "ids.json",
        "meta.json",
        "texts.json",
        *(f"vectors-0000{i}.safetensors" for i in range(3)),
    ]
    norms = np.linalg.norm(documents.states(), axis=1)
    assert artifact.meta.metrics == {
        "documents": 40,
        "dimension": 16,
        "bytes": 40 * 16 * 4,
        "norm_min": pytest.approx(norms.min(), abs=1e-4),
        "norm_median": pytest.approx(np.median(norms), abs=1e-4),
        "norm_max": pytest.approx(norms.max(), abs=1e-4),
    }
    assert run_stage(workspace, "document_embeddings").reused


def test_killed_run_resumes_and_gives_the_same_artifact(
    workspace: Workspace, student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_stage(workspace, "document_embeddings").hash
    run_stage(workspace, "document_embeddings", force=True)
    assert run_stage(workspace, "document_embeddings").hash == whole

    def dies(vectors: np.ndarray) -> np.ndarray:
        if len(student.encoded) > 30:
            raise KeyboardInterrupt
        return vectors

    for path in workspace.artifact("document_embeddings").iterdir():
        path.unlink()
    student.encoded.clear()
    with monkeypatch.context() as patch:
        patch.setattr(student, "defect", staticmethod(dies))
        with pytest.raises(KeyboardInterrupt):
            run_stage(workspace, "document_embeddings")
    student.encoded.clear()
    assert run_stage(workspace, "document_embeddings").hash == whole
    assert student.encoded == [f"d{i}" for i in range(30, 40)]


def test_nan_stops_the_stage(
    workspace: Workspace, student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "defect", staticmethod(lambda v: np.where(v < 0, np.nan, v)))
    with pytest.raises(VectorError, match="'d0' holds NaN"):
        run_stage(workspace, "document_embeddings")
    assert not workspace.artifact("document_embeddings").exists()
