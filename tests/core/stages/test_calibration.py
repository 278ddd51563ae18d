"""The stage on a student that hashes words, and what queries then say."""

import json
from typing import Any

import pytest
from rabtriever_core.index.ask import ask, calibration_of

from rabtriever_core.errors import ArtifactError
from rabtriever_core.models.calibration import Calibration, sigmoid
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace

QUERY = "tell 3 of 3"


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
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
    served: Workspace, make_workspace: Any
) -> None:
    run_stage(served, "calibration")
    index = {"shard_documents": 15, "canaries": 3}
    changed = make_workspace(served.root, index=index, calibration={"method": "temperature"})
    assert not run_stage(changed, "calibration").reused
    assert run_stage(changed, "qdrant_collection").reused
    assert Calibration.load(changed.artifact("calibration")).bias == 0
    assert ask(changed, QUERY, 3)[0].calibrated is not None


def test_queries_get_calibrated_probabilities(served: Workspace) -> None:
    (raw,) = ask(served, QUERY, 1)
    assert (raw.calibrated, raw.fits) == (None, None)
    with pytest.raises(ArtifactError, match="rabtriever run calibration"):
        ask(served, QUERY, 1, min_probability=0.5)
    run_stage(served, "calibration")
    fitted = calibration_of(served)
    assert fitted is not None
    hits = ask(served, QUERY, 5)
    assert hits[0].margin == raw.margin
    for hit in hits:
        assert hit.calibrated == pytest.approx(float(fitted.probabilities(hit.margin)))
        assert hit.probability == pytest.approx(float(sigmoid(hit.margin)))
        assert hit.fits is None, "no threshold could be fitted"
    best = hits[0].calibrated
    assert best is not None
    assert ask(served, QUERY, 2, min_probability=best)[0].fits is True
    assert not any(hit.fits for hit in ask(served, QUERY, 5, min_probability=1.0))


def test_a_calibration_of_another_student_is_refused(
    served: Workspace, make_workspace: Any
) -> None:
    run_stage(served, "calibration")
    other = make_workspace(
        served.root, weights="other", index={"shard_documents": 15, "canaries": 3}
    )
    for stage in ("document_embeddings", "qdrant_collection"):
        run_stage(other, stage)
    with pytest.raises(ArtifactError, match="materialize `calibration` again"):
        ask(other, QUERY, 1)
    run_stage(other, "calibration")
    assert ask(other, QUERY, 1)[0].calibrated is not None
