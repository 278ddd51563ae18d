"""The training loop: early stopping, its curve, a loss that is not finite."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rabtriever_core.config import (
    BackboneConfig,
    BiEncoderConfig,
    ScheduleConfig,
)
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.states import document_states
from rabtriever_core.training.bi_encoder import train_bi_encoder
from rabtriever_core.training.history import read_history, write_history
from rabtriever_core.training.loop import train
from rabtriever_core.training.warmup import warm_up
from tests.core.small import RUNTIME, small_backbone
from tests.core.training.short import DATASET, SHORT, examples_of


def test_training_stops_early_and_keeps_the_best(tmp_path) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    schedule = SHORT.model_copy(
        update={"min_steps": 200, "max_steps": 200, "evaluate_steps": 10, "patience": 2}
    )
    qualities = iter([0.1, 0.5, 0.4, 0.3])
    weights = []

    def quality() -> float:
        weights.append(layer.weight.detach().clone())
        return next(qualities)

    history = train(
        layer, lambda step: {"x": layer(torch.ones(1, 1)).sum()}, steps=200, schedule=schedule,
        runtime=RUNTIME, checkpoints=tmp_path, label="early", quality=quality,
    )  # fmt: skip
    assert history[-1]["step"] == 40
    assert torch.equal(layer.weight, weights[1])


@pytest.mark.parametrize(
    ("tool", "library", "written"),
    [
        ("tensorboard", "tensorboardX", "logs/*/events.out.tfevents.*"),
        ("wandb", "wandb", "wandb/offline-run-*/*.wandb"),
    ],
)
def test_whoever_is_told_tells_trainings_apart(
    tool: str, library: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    layer = torch.nn.Linear(1, 1, bias=False)
    for label in ("teacher", "student"):
        train(
            layer, lambda step: {"x": layer(torch.ones(1, 1)).sum()}, steps=20, schedule=SHORT,
            runtime=RUNTIME.model_copy(update={"report_to": (tool,)}),
            checkpoints=tmp_path / label, label=label,
        )  # fmt: skip
    files = list(tmp_path.glob(written))
    assert len(files) == 2
    assert all(b"loss_x" in file.read_bytes() for file in files)


def test_evaluation_falls_on_checkpoints() -> None:
    with pytest.raises(ValueError, match="20 must be a multiple of evaluate_steps 30"):
        ScheduleConfig(evaluate_steps=30, checkpoint_steps=20)


def test_history_round_trip(tmp_path) -> None:
    rows = [{"step": 10.0, "loss": 0.25, "learning_rate": 0.001}]
    write_history(rows, tmp_path)
    assert read_history(tmp_path) == rows


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path) -> None:
    from rabtriever_core.errors import ModelError

    layer = torch.nn.Linear(2, 1)
    with pytest.raises(ModelError, match=r"step 0.*learning_rate"):
        train(
            layer,
            lambda step: {"bad": layer(torch.full((1, 2), float("nan"))).sum()},
            steps=5, schedule=SHORT, runtime=RUNTIME, checkpoints=tmp_path, label="bad",
        )  # fmt: skip


def test_no_checkpoint_is_kept_of_a_model_whose_loss_was_not_finite(tmp_path) -> None:
    from rabtriever_core.errors import ModelError

    layer = torch.nn.Linear(2, 1)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        value = float("inf") if step == 13 else 1.0
        return {"good": layer(torch.ones(1, 2)).sum(), "bad": layer.bias.sum() * value}

    with pytest.raises(ModelError, match=r"step 13.*'good': -?\d.*'bad': (nan|-?inf)"):
        train(
            layer, loss_at, steps=30, schedule=SHORT.model_copy(update={"checkpoint_steps": 10}),
            runtime=RUNTIME, checkpoints=tmp_path, label="bad",
        )  # fmt: skip
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-10"]


def test_the_curve_has_the_mean_of_every_part_since_the_last_row(tmp_path) -> None:
    layer = torch.nn.Linear(1, 1)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        parts = {"always": layer.bias.sum() * 0 + step}
        return parts | ({"late": parts["always"] * 2} if step >= 15 else {})

    history = train(
        layer, loss_at, steps=22, schedule=SHORT, runtime=RUNTIME, checkpoints=tmp_path, label="c"
    )
    assert [(row["step"], row["loss_always"]) for row in history] == [
        (10, 4.5),
        (20, 14.5),
        (22, 20.5),
    ]
    assert history[1]["loss_late"] == 2 * sum(range(15, 20)) / 10


@pytest.mark.parametrize(("precision", "expected"), [("mixed", "bfloat16"), ("tf32", "float32")])
def test_mixed_precision_rounds_products_in_training_alone(
    tmp_path: Path, precision: Any, expected: str
) -> None:
    runtime = RUNTIME.model_copy(update={"precision": precision})
    small_backbone(DATASET).save(tmp_path / "backbone")
    backbone = Backbone.load(tmp_path / "backbone", runtime)
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    backbone.model.get_decoder().layers[0].mlp.down_proj.register_forward_hook(
        lambda module, _, output: seen[module.training].add(output.dtype)
    )
    config = BiEncoderConfig(
        schedule=SHORT.model_copy(update={"min_steps": 10, "max_steps": 10, "evaluate_steps": 10}),
        hard_negatives=1,
    )
    texts = DATASET.documents

    def quality() -> float:
        return float(document_states(backbone, texts).sum())

    history = train_bi_encoder(
        backbone, examples_of(backbone), config, runtime, tmp_path / "checkpoints", quality
    )
    assert seen == {True: {getattr(torch, expected)}, False: {torch.float32}}
    assert {p.dtype for p in backbone.model.parameters()} == {torch.float32}
    assert history[-1]["loss"] > 0


def test_warm_up_rounds_products_too(tmp_path: Path) -> None:
    backbone = small_backbone(DATASET)
    runtime = RUNTIME.model_copy(update={"precision": "mixed"})
    seen = set()
    backbone.model.get_decoder().layers[0].mlp.down_proj.register_forward_hook(
        lambda module, _, output: seen.add(output.dtype)
    )
    warm_up(backbone, examples_of(backbone), BackboneConfig(warmup=SHORT), runtime, tmp_path)
    assert seen == {torch.bfloat16}


def test_bi_encoder_stops_early_too(tmp_path) -> None:
    backbone = small_backbone(DATASET)
    schedule = SHORT.model_copy(
        update={"min_steps": 100, "max_steps": 100, "evaluate_steps": 10, "patience": 1}
    )
    config = BiEncoderConfig(schedule=schedule, hard_negatives=0)
    qualities = iter([0.2, 0.1])
    history = train_bi_encoder(
        backbone, examples_of(backbone), config, RUNTIME, tmp_path, lambda: next(qualities)
    )
    assert history[-1]["step"] == 20
