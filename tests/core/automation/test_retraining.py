"""What new data ask for, and training no more than that."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rabtriever_core.automation.retraining import (
    needed_now,
    retrain,
    retraining_kind,
    retraining_needed,
    warm,
)
from rabtriever_core.config import RetrainingConfig
from rabtriever_core.data.dataset import Dataset, Document, write_dataset
from rabtriever_core.data.profile import Profile
from rabtriever_core.errors import ArtifactError, ConfigError, ReleaseError, ValidationStoppedError
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages.kept import FILE, kept
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.asking import ask
from tests.core.small import small_dataset
from tests.e2e.conftest import small_workspace

CONFIG = RetrainingConfig(max_changed_share=0.1)


def _need(now: Dataset, before: Dataset | None = None) -> tuple[str, str]:
    profiles = [Profile.of(d, "train") for d in (before or small_dataset(), now)]
    need = retraining_needed(*profiles, CONFIG)
    return need.kind, need.reason


def _grown(dataset: Dataset, questions: int) -> Dataset:
    """Further training queries, and a document that nobody asks for."""
    queries = {f"more-{i}": f"Well now, number {i}." for i in range(questions)}
    right = {query: {dataset.documents[0].id: 1} for query in queries}
    return replace(
        dataset,
        documents=(*dataset.documents, Document("extra", "A document of no use to anyone here.")),
        queries=dataset.queries | queries,
        qrels={**dataset.qrels, "train": dataset.qrels["train"] | right},
    )


def test_what_the_data_ask_for() -> None:
    dataset = small_dataset()
    assert _need(dataset)[0] == "none"
    kind, reason = _need(_grown(dataset, 0))
    assert (kind, reason) == ("reindex", "the training examples are the same; documents +1 -0 ~0")
    kind, reason = _need(_grown(dataset, 3))
    assert (kind, reason[:4]) == ("predictor", "5.9%")
    kind, reason = _need(_grown(dataset, 12))
    assert kind == "full"
    assert "20.0% of the training examples" in reason
    assert "retraining.max_changed_share = 10.0%" in reason
    # A right document's text is part of what was taught.
    edited = (replace(dataset.documents[0], text="Otherwise."), *dataset.documents[1:])
    assert _need(replace(dataset, documents=edited))[0] == "full"
    assert retraining_needed(None, Profile.of(dataset, "train"), CONFIG).kind == "full"


def test_a_kind_that_is_none_is_named() -> None:
    assert retraining_kind("predictor") == "predictor"
    with pytest.raises(ConfigError, match="'predictors': it is one of none, reindex"):
        retraining_kind("predictors")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A whole chain, trained for seconds, and released."""
    root = tmp_path_factory.mktemp("retraining")
    write_dataset(small_dataset(), root / "raw" / "small")
    workspace = small_workspace(root / "work", root / "raw" / "small")
    outcome = retrain(workspace)
    assert outcome.kind == "full"
    assert outcome.embedded == 12
    assert promote(workspace, by="test").decision == "promoted"
    yield workspace


def _hashes(workspace: Workspace) -> dict[str, str]:
    stages = ("validated_dataset", "backbone", "teacher", "student", "document_embeddings")
    return {stage: load_artifact(workspace.artifact(stage)).hash for stage in stages}


def test_only_what_is_needed_is_trained_and_released(served: Workspace) -> None:
    # One test of several steps: each needs the release before it, and the first costs most.
    assert retrain(served).kind == "none"
    first = _hashes(served)

    # Another predictor on the same data: no document is embedded.
    outcome = retrain(warm_settings(served), "predictor", warm_start=True)
    second = _hashes(served)
    assert outcome.embedded == 0
    assert "document_embeddings" not in outcome.seconds
    assert {"backbone", "teacher"} <= set(outcome.spared)
    assert {name for name in first if first[name] != second[name]} == {"student"}
    parents = load_artifact(served.artifact("student")).meta.parents
    assert parents["served_student"] == first["student"]
    released = promote(served, by="test")
    assert released.decision == "promoted", released.reason
    assert released.release.parts["student"] == second["student"]

    # A few new training queries and one new document: predictor alone, one document embedded.
    write_dataset(_grown(small_dataset(), 3), served.dataset_folder)
    outcome = retrain(served)
    assert (outcome.kind, outcome.embedded) == ("predictor", 1)
    third = _hashes(served)
    assert third["teacher"] == first["teacher"]
    assert third["student"] != second["student"]
    released = promote(served, by="test")
    assert released.decision == "promoted", released.reason
    assert ask(served, "anything", 13).hits[-1].margin is not None
    assert len(ask(served, "anything", 13).hits) == 13
    assert needed_now(served).kind == "none"
    assert json.loads((served.root / "logs" / "retraining.json").read_text())["embedded"] == 1

    # The document goes again: all models stay.
    documents = _grown(small_dataset(), 3).documents[:-1]
    write_dataset(replace(_grown(small_dataset(), 3), documents=documents), served.dataset_folder)
    outcome = retrain(served)
    assert (outcome.kind, outcome.embedded) == ("reindex", 0)
    assert _hashes(served)["student"] == third["student"]
    assert promote(served, by="test").release.count == 12

    # Kept models are kept for these data only, and as long as they are what was kept.
    data = load_artifact(served.artifact("validated_dataset")).hash
    assert set(kept(served, data)) > {"teacher", "student"}
    assert kept(served, "other data") == {}
    (served.root / "artifacts" / FILE).unlink()
    with pytest.raises(ArtifactError, match="made from another validated_dataset"):
        run_stage(served, "document_embeddings")

    # A test query in training: nothing is trained.
    leaky = _grown(small_dataset(), 3)
    test = next(iter(leaky.qrels["test"]))
    leaky.qrels["train"][test] = leaky.qrels["test"].pop(test)
    write_dataset(leaky, served.dataset_folder)
    with pytest.raises(ValidationStoppedError, match="test_queries_stay_unseen"):
        retrain(served)


def warm_settings(workspace: Workspace) -> Workspace:
    """Another student than the one served, by one setting."""
    return Workspace.open(workspace.root, ("student.temperature=2",))


def test_nothing_served_is_nothing_to_start_from(tmp_path: Path, served: Workspace) -> None:
    empty = replace(served, root=tmp_path)
    with pytest.raises(ReleaseError, match="no predictor to start from"):
        warm(empty)
