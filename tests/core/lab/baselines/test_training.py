"""Further systems: each an artifact on the teacher's budget; one more trains that one alone."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.errors import ConfigError, ModelError
from rabtriever_core.lab.baselines import training
from rabtriever_core.lab.baselines.rankers import baseline_rankers
from rabtriever_core.lab.baselines.systems import BASELINES, TRAINED, Chosen
from rabtriever_core.lab.baselines.training import train_baselines
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.inputs import finished
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
SHORT = {"min_steps": 10, "max_steps": 10, "queries_per_step": 4, "checkpoint_steps": 10}
ALL = Chosen(TRAINED, {"kl_bi_encoder": 0.0005})


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("work"))
    train_baselines(workspace, ALL)
    return workspace


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"systems": ("colbert",)}, "--system colbert: expected one of margin_mse"),
        ({"systems": ("minilm", "minilm")}, "--system minilm: named more than once"),
        ({"learning_rates": {"minilm": 0.1}}, "--learning-rate minilm=0.1: .*one of margin_mse"),
        ({"learning_rates": {"kl_bi_encoder": 0.0}}, "kl_bi_encoder=0.0: .*above zero"),
        ({"temperature": 0.0}, "--temperature 0.0: .*above zero"),
    ],
)
def test_a_bad_choice_is_named(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Chosen(**chosen)


def test_every_system_is_an_artifact_on_the_teachers_budget(trained: Workspace) -> None:
    for name in TRAINED:
        artifact = load_artifact(trained.artifact("baselines") / name)
        assert artifact.meta.metrics["budget"] == {"steps": 10, "queries": 40, "pairs": 160}
        assert 0 <= artifact.meta.metrics["dev"]["MRR@10"] <= 1
        assert trained.seconds()[name] > 0
        assert len((artifact.folder / "history.csv").read_text().splitlines()) == 2
    kl = load_artifact(trained.artifact("baselines") / "kl_bi_encoder")
    assert kl.meta.config["learning_rate"] == 0.0005
    assert not [path for path in trained.work.glob("baselines/*") if path.is_dir()]


@pytest.mark.parametrize("start", ["backbone", "bi_encoder"])
def test_they_start_where_the_teacher_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    workspace = make_workspace(tmp_path)
    data = load_artifact(workspace.artifact("validated_dataset")).hash
    other = small_backbone(DATASET, seed=9)
    finished(workspace, DATASET.fingerprint, "bi_encoder", {"validated_dataset": data}, other.save)
    teacher = workspace.settings.teacher.model_copy(update={"start": start})
    workspace = Workspace(tmp_path, workspace.settings.model_copy(update={"teacher": teacher}))
    starts: list[Any] = []

    def spy(reranker: Any, *_: Any) -> None:
        starts.append(reranker.backbone.model.get_input_embeddings().weight)
        raise ConfigError("seen enough")

    monkeypatch.setattr(training, "train_linear_reranker", spy)
    with pytest.raises(ConfigError, match="seen enough"):
        train_baselines(workspace, Chosen(("linear_reranker",)))
    wanted = other if start == "bi_encoder" else small_backbone(DATASET)
    assert starts[0].equal(wanted.model.get_input_embeddings().weight)


def test_one_more_or_less_leaves_the_others_alone(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    original = training.train_baseline

    def spy(context: Any, name: Any, chosen: Any) -> dict[str, Any]:
        calls.append(name)
        return original(context, name, chosen)

    monkeypatch.setattr(training, "train_baseline", spy)
    before = {name: load_artifact(trained.artifact("baselines") / name).hash for name in TRAINED}
    found = train_baselines(trained, ALL)
    assert {name: artifact.hash for name, artifact in found.items()} == before
    assert list(train_baselines(trained, Chosen(("linear_reranker",)))) == ["linear_reranker"]
    assert calls == []
    train_baselines(trained, Chosen(TRAINED, {"kl_bi_encoder": 0.0001}))
    assert calls == ["kl_bi_encoder"]
    train_baselines(trained, Chosen(TRAINED, {"kl_bi_encoder": 0.0001}, temperature=2.0))
    assert calls == ["kl_bi_encoder"] * 2
    after = {name: load_artifact(trained.artifact("baselines") / name).hash for name in TRAINED}
    assert {name for name in TRAINED if after[name] != before[name]} == {"kl_bi_encoder"}


def test_what_cannot_be_had_is_said_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path)
    monkeypatch.setattr(training, "train_baseline", lambda *_: pytest.fail("trained something"))
    monkeypatch.setenv("RABTRIEVER_MODELS", str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="rabtriever fetch-model minilm"):
        train_baselines(workspace, Chosen(BASELINES))


def test_rankers_of_all_trained_systems(trained: Workspace) -> None:
    artifacts = train_baselines(trained, ALL)
    rankers = baseline_rankers(ALL, artifacts, DATASET.documents, RUNTIME, 30)
    assert list(rankers) == list(TRAINED)
    query = json.dumps("He lied again.")
    for rank in rankers.values():
        (one,) = rank([query])
        two, _ = rank([query, "another"])
        assert list(one) == list(two)
        assert set(one) == {document.id for document in DATASET.documents}
    # Rerankers keep to what the teacher ranks where the pool is too large.
    few = [{"rest-work": 1.0, "grief-night": 0.5}]
    rankers = baseline_rankers(
        ALL, artifacts, DATASET.documents, RUNTIME, 30, retrieve=(lambda _: few, 10)
    )
    assert set(rankers["linear_reranker"]([query])[0]) == set(few[0])
    assert len(rankers["kl_bi_encoder"]([query])[0]) == len(DATASET.documents)
