"""The stage `teacher`: its inputs, and a budget of what was really done, phase by phase."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.errors import ArtifactError, ConfigError
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.stages import dev, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact, build_artifact
from rabtriever_core.workspace.identity import Identity
from tests.core.small import RUNTIME, small_backbone, small_dataset

DATASET = small_dataset()
SHORT = {"min_steps": 20, "max_steps": 20, "queries_per_step": 3, "checkpoint_steps": 10}


def make_workspace(root: Path, **teacher: Any) -> Workspace:
    """Data set and backbone, and how the teacher is to be made."""
    settings = {
        "runtime": RUNTIME.model_dump(),
        "teacher": {"schedule": SHORT, "documents_per_query": 4, "mining_depth": 3} | teacher,
    }
    workspace = Workspace(root, Settings.model_validate(settings))

    def build(stage: str, parents: dict[str, str], save: Any) -> str:
        def make(output: Path, _: Path) -> dict[str, Any]:
            save(output)
            return {"passed": True, "broken": []}

        return build_artifact(
            workspace.artifact(stage),
            work=workspace.work,
            identity=Identity(
                stage=stage,
                version=1,
                config={},
                parents=parents,
                dataset=DATASET.fingerprint,
            ),
            make=make,
        ).hash

    data = build("validated_dataset", {}, lambda folder: write_dataset(DATASET, folder))
    build("backbone", {"validated_dataset": data}, small_backbone(DATASET).save)
    build("bi_encoder", {"validated_dataset": data}, small_backbone(DATASET).save)
    return workspace


def steps(artifact: Artifact) -> list[int]:
    """The steps in the loss curve."""
    rows = (artifact.folder / "history.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [int(row.split(",")[0]) for row in rows]


def test_zero_shot_has_no_budget_and_no_loss_curve(tmp_path: Path) -> None:
    artifact = run_stage(make_workspace(tmp_path, method="zero-shot"), "teacher")
    assert set(artifact.meta.metrics) == {"dev"}
    assert not (artifact.folder / "history.csv").exists()


def test_the_budget_is_the_sum_of_both_phases(tmp_path: Path) -> None:
    later = {"schedule": SHORT | {"min_steps": 7, "max_steps": 7, "queries_per_step": 5}}
    workspace = make_workspace(tmp_path, method="sft+dpo", dpo=later)
    artifact = run_stage(workspace, "teacher")
    queries = 20 * 3 + 7 * 5
    assert artifact.meta.metrics["budget"] == {
        "steps": 27,
        "queries": queries,
        "pairs": queries * 4,
    }
    assert steps(artifact) == [10, 20, 27]


def test_stopped_early_it_reports_the_steps_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qualities = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(dev, "dev_metrics", lambda *_: {"MRR@10": next(qualities)})
    schedule = SHORT | {"min_steps": 205, "max_steps": 205, "evaluate_steps": 10, "patience": 2}
    artifact = run_stage(make_workspace(tmp_path, schedule=schedule), "teacher")
    assert artifact.meta.metrics["budget"] == {"steps": 30, "queries": 90, "pairs": 360}
    assert steps(artifact) == [10, 20, 30]


def test_queries_of_the_contrastive_loss_alone_are_counted(tmp_path: Path) -> None:
    short = SHORT | {"min_steps": 5, "max_steps": 5}
    workspace = make_workspace(tmp_path, schedule=short, contrastive_queries=6)
    budget = run_stage(workspace, "teacher").meta.metrics["budget"]
    # A right document each, and a mined one.
    assert budget == {"steps": 5, "queries": 5 * (3 + 6), "pairs": 5 * (3 * 4 + 6 * 2)}


def test_only_the_model_it_starts_from_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "dev_metrics", lambda *_: {})
    workspace = make_workspace(tmp_path, method="zero-shot")
    shutil.rmtree(workspace.artifact("bi_encoder"))
    assert set(run_stage(workspace, "teacher").meta.parents) == {"validated_dataset", "backbone"}
    update = {"teacher": workspace.settings.teacher.model_copy(update={"start": "bi_encoder"})}
    other = Workspace(tmp_path, workspace.settings.model_copy(update=update))
    with pytest.raises(ArtifactError, match="rabtriever run bi_encoder"):
        run_stage(other, "teacher")


def test_what_cosine_and_reading_count_for_is_fitted_and_kept(tmp_path: Path) -> None:
    artifact = run_stage(make_workspace(tmp_path, start="bi_encoder", cosine_scale=20.0), "teacher")
    weights = artifact.meta.metrics["weights"]
    teacher = GenerativeReranker.load(artifact.folder, RUNTIME)
    assert teacher.cosine_scale == pytest.approx(20 * weights["cosine"], rel=1e-4)
    assert weights["reading"] >= 0.05


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_what_it_knew_is_averaged_in(tmp_path: Path, lora: dict[str, int] | None) -> None:
    def weights(name: str, share: float) -> dict[str, torch.Tensor]:
        workspace = make_workspace(tmp_path / name, start_share=share)
        if lora is not None:
            backbone = {"model": "pretrained", "lora": lora}
            values = workspace.settings.model_dump() | {"backbone": backbone}
            workspace = Workspace(workspace.root, Settings.model_validate(values))
        return load_file(run_stage(workspace, "teacher").folder / "model.safetensors")

    trained, mean = weights("as-trained", 0.0), weights("averaged", 0.25)
    start = load_file(tmp_path / "as-trained" / "artifacts" / "backbone" / "model.safetensors")
    assert trained.keys() == mean.keys() == start.keys()
    assert any(not torch.equal(trained[name], start[name]) for name in start)
    for name, before in start.items():
        torch.testing.assert_close(mean[name], 0.25 * before + 0.75 * trained[name])


def test_dev_chooses_the_share_of_the_start(tmp_path: Path) -> None:
    shares = [0.0, 0.5, 1.0]
    settings = {"start": "bi_encoder", "cosine_scale": 20.0}
    found = make_workspace(tmp_path / "found", start_share=shares, **settings)
    metrics = run_stage(found, "teacher").meta.metrics
    losses, best = metrics["start_share_losses"], metrics["start_share"]
    assert list(losses) == ["0", "0.5", "1"]
    assert losses[f"{best:g}"] == min(losses.values()) < losses["1"]
    given = make_workspace(tmp_path / "given", start_share=best, **settings)
    run_stage(given, "teacher")
    one, other = (
        load_file(workspace.artifact("teacher") / "model.safetensors")
        for workspace in (found, given)
    )
    assert all(weights.equal(other[name]) for name, weights in one.items())


@pytest.mark.parametrize(
    ("share", "problem"),
    [
        ("[0, 1]", "start_share: dev can choose .* only with a cosine_scale"),
        ("[0.5, 0]", "from low to high"),
        ("[0.5]", "at least two shares"),
        ("[0.5, 1.5]", "1.5 is not a share"),
        ("1.0", "would undo all training"),
        ("high", "'high' is not a share"),
        ("yes", "True is not a share"),
    ],
)
def test_shares_that_cannot_be_used(tmp_path: Path, share: str, problem: str) -> None:
    make_workspace(tmp_path)
    (tmp_path / "params.yaml").write_text("{}")
    with pytest.raises(ConfigError, match=problem) as caught:
        Workspace.open(tmp_path, (f"teacher.start_share={share}",))
    assert "queries_per_step" not in str(caught.value)  # the whole section would help nobody


def test_without_cosine_there_is_nothing_to_weigh(tmp_path: Path) -> None:
    artifact = run_stage(make_workspace(tmp_path), "teacher")
    assert "weights" not in artifact.meta.metrics


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_without_adapters_all_weights_of_a_pretrained_backbone_are_trained(
    tmp_path: Path, lora: dict[str, int] | None
) -> None:
    workspace = make_workspace(tmp_path)
    folder = workspace.artifact("backbone")
    backbone = {"model": str(folder), "lora": lora, "freeze_embeddings": False}
    values = workspace.settings.model_dump() | {"backbone": backbone}
    workspace = Workspace(tmp_path, Settings.model_validate(values))
    trained = load_file(run_stage(workspace, "teacher").folder / "model.safetensors")
    before = load_file(folder / "model.safetensors")
    same = {name for name, weights in before.items() if weights.equal(trained[name])}
    norms = {name for name in before if "norm" in name}
    assert norms
    assert same == (set() if lora is None else norms | {n for n in before if "embed" in n})


def test_the_table_of_a_pretrained_backbone_stays_where_it_is_frozen(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    folder = workspace.artifact("backbone")
    values = workspace.settings.model_dump() | {"backbone": {"model": str(folder), "lora": None}}
    workspace = Workspace(tmp_path, Settings.model_validate(values))
    trained = load_file(run_stage(workspace, "teacher").folder / "model.safetensors")
    before = load_file(folder / "model.safetensors")
    same = {name for name, weights in before.items() if weights.equal(trained[name])}
    assert same == {name for name in before if "embed" in name}
