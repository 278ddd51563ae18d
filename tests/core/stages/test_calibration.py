"""The stage on a student that hashes words, and what queries then say."""

import json
from typing import Any

import pytest

from rabtriever_core.models.probability import Calibration
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace


@pytest.fixture
def built(workspace: Workspace) -> Workspace:
    run_stage(workspace, "document_embeddings")
    run_stage(workspace, "qdrant_collection")
    return workspace


def test_fits_dev_and_is_kept(workspace: Workspace) -> None:
    run_stage(workspace, "document_embeddings")
    artifact = run_stage(workspace, "calibration")
    metrics = artifact.meta.metrics
    assert metrics["queries"]["queries"] == 4
    assert metrics["queries"]["unanswerable"] == 4
    assert metrics["pairs"]["pairs"] == 40
    fitted = Calibration.load(artifact.folder)
    assert (fitted.slope, fitted.bias) == (metrics["slope"], metrics["bias"])
    # Four queries cannot show that nine of ten answers are right.
    assert fitted.threshold is None
    assert metrics["pairs"]["calibrated"]["nll"] <= metrics["pairs"]["student"]["nll"]
    again = run_stage(workspace, "calibration")
    assert again.reused
    json.dumps(metrics, allow_nan=False)


def test_another_setting_leaves_student_and_collection_alone(
    built: Workspace, make_workspace: Any
) -> None:
    run_stage(built, "calibration")
    index = {"shard_documents": 15, "probe_queries": 3}
    changed = make_workspace(built.root, index=index, calibration={"method": "temperature"})
    assert not run_stage(changed, "calibration").reused
    assert run_stage(changed, "qdrant_collection").reused
    assert Calibration.load(changed.artifact("calibration")).bias == 0
