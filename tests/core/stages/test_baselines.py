"""The stage `baselines`: nothing where nothing is named; one more system trains that one alone."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.config import BaselinesConfig, Settings
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.errors import ConfigError
from rabtriever_core.evaluation.further_systems import further_rankers
from rabtriever_core.lab.baselines import minilm
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.stages import baseline_training, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.inputs import finished
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
SHORT = {"min_steps": 10, "max_steps": 10, "queries_per_step": 4, "checkpoint_steps": 10}
TRAINED = ["margin_mse_bi_encoder", "kl_bi_encoder", "linear_reranker"]


def make_workspace(root: Path) -> Workspace:
    """Data set, backbone and an untrained teacher."""
    settings = Settings.model_validate(
        {
            "runtime": RUNTIME.model_dump(),
            "teacher": {"schedule": SHORT, "documents_per_query": 4, "mining_depth": 3},
        }
    )
    workspace = Workspace(root, settings)
    backbone = small_backbone(DATASET)
    build = partial(finished, workspace, DATASET.fingerprint)
    data = build("validated_dataset", {}, lambda folder: write_dataset(DATASET, folder))
    build("backbone", {"validated_dataset": data}, backbone.save)
    build("teacher", {"validated_dataset": data}, GenerativeReranker(backbone).save)
    return workspace


def with_baselines(workspace: Workspace, **baselines: Any) -> Workspace:
    chosen = BaselinesConfig.model_validate(baselines)
    return Workspace(workspace.root, workspace.settings.model_copy(update={"baselines": chosen}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = with_baselines(
        make_workspace(tmp_path_factory.mktemp("work")),
        systems=TRAINED,
        learning_rates={"kl_bi_encoder": 0.0005},
    )
    run_stage(workspace, "baselines")
    return workspace


def test_nothing_named_nothing_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_workspace(tmp_path)
    for work in ("check_baselines", "train_baseline"):
        monkeypatch.setattr(baseline_training, work, lambda *_: pytest.fail("did something"))
    artifact = run_stage(workspace, "baselines")
    assert artifact.meta.metrics == {}
    assert [path.name for path in artifact.folder.iterdir()] == ["meta.json"]
    assert further_rankers(artifact.folder, workspace.settings, DATASET.documents, None, 10) == {}


def test_every_system_is_an_artifact_on_the_teachers_budget(trained: Workspace) -> None:
    artifact = load_artifact(trained.artifact("baselines"))
    assert set(artifact.meta.metrics) == set(TRAINED)
    for name in TRAINED:
        part = load_artifact(artifact.folder / name)
        assert part.meta.metrics == artifact.meta.metrics[name]
        assert part.meta.metrics["budget"] == {"steps": 10, "queries": 40, "pairs": 160}
        assert 0 <= part.meta.metrics["dev"]["MRR@10"] <= 1
        assert trained.seconds()[name] > 0
        history = (artifact.folder / name / "history.csv").read_text().splitlines()
        assert len(history) == 2
    kl = load_artifact(artifact.folder / "kl_bi_encoder")
    assert kl.meta.config["learning_rate"] == 0.0005
    assert not list(trained.work.glob("baselines/*"))


@pytest.mark.parametrize("start", ["backbone", "bi_encoder"])
def test_they_start_where_the_teacher_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    workspace = make_workspace(tmp_path)
    data = load_artifact(workspace.artifact("validated_dataset")).hash
    parents = {"validated_dataset": data}
    other = small_backbone(DATASET, seed=9)
    finished(workspace, DATASET.fingerprint, "bi_encoder", parents, other.save)
    teacher = workspace.settings.teacher.model_copy(update={"start": start})
    workspace = Workspace(tmp_path, workspace.settings.model_copy(update={"teacher": teacher}))
    starts: list[Any] = []

    def spy(reranker: Any, *_: Any) -> None:
        starts.append(reranker.backbone.model.get_input_embeddings().weight)
        raise ConfigError("seen enough")

    monkeypatch.setattr(baseline_training, "train_linear_reranker", spy)
    with pytest.raises(ConfigError, match="seen enough"):
        run_stage(with_baselines(workspace, systems=["linear_reranker"]), "baselines")
    wanted = other if start == "bi_encoder" else small_backbone(DATASET)
    assert starts[0].equal(wanted.model.get_input_embeddings().weight)


def test_one_more_or_less_leaves_the_others_alone(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    original = baseline_training.train_baseline

    def spy(context: Any, name: Any) -> dict[str, Any]:
        calls.append(name)
        return original(context, name)

    monkeypatch.setattr(baseline_training, "train_baseline", spy)
    before = load_artifact(trained.artifact("baselines") / "linear_reranker").hash
    workspace = with_baselines(trained, systems=["linear_reranker", "margin_mse_bi_encoder"])
    artifact = run_stage(workspace, "baselines")
    assert set(artifact.meta.metrics) == {"linear_reranker", "margin_mse_bi_encoder"}
    assert calls == []
    run_stage(with_baselines(trained, systems=["linear_reranker", "kl_bi_encoder"]), "baselines")
    assert calls == ["kl_bi_encoder"]
    after = load_artifact(trained.artifact("baselines") / "linear_reranker").hash
    assert after == before
    slower = with_baselines(
        trained, systems=["linear_reranker"], learning_rates={"linear_reranker": 0.0001}
    )
    run_stage(slower, "baselines")
    run_stage(slower, "baselines", force=True)
    assert calls == ["kl_bi_encoder", "linear_reranker", "linear_reranker"]


def test_what_cannot_be_had_is_said_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path)
    monkeypatch.setattr(
        baseline_training, "train_baseline", lambda *_: pytest.fail("trained something")
    )
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_anywhere")
    for name, message in (("minilm", r"rabtriever\[minilm\]"), ("pool_classifier", "at most 256")):
        with pytest.raises(ConfigError, match=message):
            run_stage(with_baselines(workspace, systems=[*TRAINED, name]), "baselines")


def test_rankers_of_all_named_systems(trained: Workspace) -> None:
    workspace = with_baselines(trained, systems=TRAINED)
    folder = run_stage(workspace, "baselines").folder
    rankers = further_rankers(folder, workspace.settings, DATASET.documents, None, 10)
    assert list(rankers) == TRAINED
    query = json.dumps("He lied again.")
    for rank in rankers.values():
        (one,) = rank([query])
        two, _ = rank([query, "another"])
        assert list(one) == list(two)
        assert set(one) == {document.id for document in DATASET.documents}
    # Rerankers keep to what the teacher ranks where the pool is too large.
    few = [{"rest-work": 1.0, "grief-night": 0.5}]
    rankers = further_rankers(folder, workspace.settings, DATASET.documents, lambda _: few, 10)
    assert set(rankers["linear_reranker"]([query])[0]) == set(few[0])
    assert len(rankers["kl_bi_encoder"]([query])[0]) == len(DATASET.documents)
