"""Stage: the further systems that `baselines.systems` names, each an artifact in a subfolder."""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any, get_args

from rabtriever_core.config import TrainedBaseline
from rabtriever_core.stages.registry import stage_named
from rabtriever_core.stages.context import StageContext
from rabtriever_core.workspace.artifacts import Artifact, build_artifact, replace_folder


def make(context: StageContext) -> dict[str, Any]:
    """Train what is named; returns every trained system's loss, budget and dev metrics.

    A system that an earlier run finished is kept, so that naming one more trains that one alone.

    Raises:
        ConfigError: a system cannot be had: weights not installed, pool too long.
    """
    named = context.settings.baselines.systems
    if named:
        from rabtriever_core.stages.baseline_training import check_baselines

        check_baselines(context)
    # All are finished before the first is moved: what a kill leaves in `output` is thrown away.
    finished = {name: _build(context, name) for name in get_args(TrainedBaseline) if name in named}
    for name, artifact in finished.items():
        replace_folder(artifact.folder, context.output / name)
    return {name: artifact.meta.metrics for name, artifact in finished.items()}


def _build(context: StageContext, name: TrainedBaseline) -> Artifact:
    """A system as an artifact of its own, among the checkpoints: once finished it survives a kill.

    It depends on the stage's sections, of `baselines` only on what concerns it.
    """
    stage = stage_named("baselines")
    folder = context.checkpoints / name
    earlier = context.workspace.artifact("baselines") / name
    if earlier.is_dir() and not folder.exists() and not context.force:
        shutil.copytree(earlier, folder)
    own = context.settings.baselines
    config: dict[str, Any] = {
        section: section_values(context.settings, section)
        for section in stage.sections
        if section != "baselines"
    }
    config["learning_rate"] = own.learning_rates.get(name)
    if name == "kl_bi_encoder":
        config["distillation_temperature"] = own.distillation_temperature
    if name == "pool_classifier":
        config["pool_question"] = own.pool_question

    def train(output: Path, checkpoints: Path) -> dict[str, Any]:
        from rabtriever_core.stages.baseline_training import train_baseline

        part = dataclasses.replace(context, output=output, checkpoints=checkpoints)
        return train_baseline(part, name)

    started = time.perf_counter()
    artifact = build_artifact(
        folder,
        work=context.checkpoints / "work",
        config=config,
        parents={parent: artifact.hash for parent, artifact in context.inputs.items()},
        dataset=context.inputs["validated_dataset"].meta.dataset,
        code=stage.code,
        make=train,
    )
    if not artifact.reused:
        context.workspace.record_seconds(name, time.perf_counter() - started)
    return artifact
