"""How the baselines train: on the teacher's schedule and, if pretrained, with its adapters."""

from dataclasses import dataclass
from pathlib import Path

import torch

from rabtriever_core.config import LoraConfig, RuntimeConfig, TeacherConfig
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.lora import merge_adapters, with_adapters
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.history import History
from rabtriever_core.training.loop import train
from rabtriever_core.training.losses import LossAtStep


@dataclass(frozen=True)
class Plan:
    """What every trained baseline has in common with the teacher."""

    teacher: TeacherConfig
    """Schedule and candidates; the learning rate may be the baseline's own."""
    runtime: RuntimeConfig
    lora: LoraConfig | None
    """Adapters to train instead of all weights; merged at the end."""
    checkpoints: Path
    """Where to resume from."""


def fine_tune(
    backbone: Backbone,
    loss_at: LossAtStep,
    examples: Examples,
    plan: Plan,
    label: str,
    head: torch.nn.Module | None = None,
) -> History:
    """Train the backbone (in place) for as many steps as the teacher.

    Args:
        backbone: what is trained.
        loss_at: parts of the loss at a step.
        examples: training queries and corpus.
        plan: schedule, adapters, checkpoints.
        label: names the progress bar.
        head: trained beside the backbone, in full.
    """
    adapted = None if plan.lora is None else with_adapters(backbone, plan.lora, plan.runtime.seed)
    trained = backbone.model if adapted is None else adapted
    if head is not None:
        # The body alone: its head would be a second name of the tied embeddings.
        trained = torch.nn.ModuleDict({"body": backbone.body, "head": head})
    schedule = plan.teacher.schedule
    history = train(
        trained,
        loss_at,
        steps=schedule.steps(len(examples.queries)),
        schedule=schedule,
        runtime=plan.runtime,
        checkpoints=plan.checkpoints,
        label=label,
    )
    if adapted is not None:
        merge_adapters(backbone, adapted)
    return history
