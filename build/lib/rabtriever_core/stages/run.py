"""Run one stage in a workspace: load its inputs, build its artifact, remember its time."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rabtriever_core.data.change_verdict import broken_changes
from rabtriever_core.data.findings import broken_rules
from rabtriever_core.errors import (
    ArtifactError,
    DeviceMemoryError,
    StageBusyError,
    ValidationStoppedError,
)
from rabtriever_core.stages.context import StageContext
from rabtriever_core.stages.identity import (
    data_fingerprint,
    default_values,
    read_outside,
    stage_identity,
    stage_module,
)
from rabtriever_core.stages.kept import kept
from rabtriever_core.stages.registry import Stage, stage_named
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import (
    MISSING,
    Artifact,
    build_artifact,
    folder_hash,
    load_artifact,
)

logger = logging.getLogger(__name__)

FORCED = "asked for by --force"
NOT_LIVE = "Qdrant no longer holds the collection with all its documents"


def run_stage(workspace: Workspace, name: str, *, force: bool = False) -> Artifact:
    """Build a stage's artifact, or return the one that is up to date.

    Args:
        workspace: where to run.
        name: the stage.
        force: build although up to date.

    Raises:
        ArtifactError: an input is missing, damaged, or made from other parents.
        ValidationStoppedError: the data set broke a rule that nothing may run on.
        StageBusyError: another process builds it, or built what it reads at the same time.
        DiskFullError: there was no room for it.
        DeviceMemoryError: the accelerator has too little memory for it.
    """
    stage = stage_named(name)
    module = stage_module(name)
    inputs = load_inputs(workspace, stage)
    if not force and (earlier := _kept(workspace, name, inputs)):
        logger.info("%s is kept for these data (%s)", name, earlier.hash)
        return earlier
    if hasattr(module, "further_inputs"):
        inputs |= module.further_inputs(workspace)
    identity = stage_identity(workspace, stage, inputs)

    def make(output: Path, checkpoints: Path) -> dict[str, Any]:
        with _says_when_the_device_is_full(name):
            metrics: dict[str, Any] = module.make(
                StageContext(workspace, inputs, output, checkpoints, force, stage.version)
            )
        # Read once to be named, and again to be used: a second run may have come between.
        changed = [n for n, a in inputs.items() if folder_hash(a.folder) != identity.parents[n]]
        if data_fingerprint(workspace, module, inputs, metrics) != identity.dataset:
            changed.append(str(workspace.dataset_folder))
        outside = read_outside(workspace, module).items()
        changed += [name for name, hash_ in outside if hash_ != identity.parents[name]]
        if changed:
            raise StageBusyError(
                f"{', '.join(changed)} changed while {name} was built from it: another process "
                "works here; nothing was kept, run it again"
            )
        return metrics

    reasons = [FORCED] if force else []
    if not force and hasattr(module, "is_live") and not module.is_live(workspace):
        reasons = [NOT_LIVE] if workspace.artifact(name).exists() else [MISSING]
    started = time.perf_counter()
    artifact = build_artifact(
        workspace.artifact(name),
        work=workspace.work,
        identity=identity,
        make=make,
        defaults=default_values(),
        reasons=reasons,
    )
    if artifact.reused:
        logger.info("%s is up to date (%s)", name, artifact.hash)
    else:
        workspace.record_seconds(name, time.perf_counter() - started)
    if name == "validated_dataset":
        # Beside the artifact, not in it: other words on the page train nothing again.
        from rabtriever_core.report.findings import write_validation_page

        write_validation_page(
            artifact.folder,
            artifact.meta.metrics,
            workspace.settings.dataset.name,
            workspace.validation_page,
        )
    return artifact


@contextmanager
def _says_when_the_device_is_full(stage: str) -> Iterator[None]:
    """Errors that name what to change."""
    try:
        yield
    except RuntimeError as error:
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(error, torch.OutOfMemoryError):
            raise
        raise DeviceMemoryError(
            f"{stage}: too little memory on the device ({str(error).splitlines()[0]}): leave it to "
            "fewer processes, or lower the stage's queries_per_step, or runtime.batch_multiple, "
            "which all trained stages are made anew for"
        ) from error


def load_inputs(workspace: Workspace, stage: Stage) -> dict[str, Artifact]:
    """Load the artifacts that a stage reads and check that they were made from one another.

    Raises:
        ArtifactError: one is missing, damaged, or does not fit another.
        ValidationStoppedError: the data set is not fit for use.
    """
    used = stage.inputs_with(workspace.settings)
    inputs = {name: load_artifact(workspace.artifact(name)) for name in used}
    validated = inputs.get("validated_dataset")
    if validated is not None and not validated.meta.metrics["passed"]:
        raise ValidationStoppedError(
            f"{stage.name} does not run: the data set broke "
            f"{'; '.join(broken_rules(validated.meta.metrics))}; see {workspace.validation_page}"
        )
    if validated is not None and (broken := broken_changes(workspace, validated.hash)):
        raise ValidationStoppedError(
            f"{stage.name} does not run: against the version before, the data broke "
            f"{', '.join(broken)}; see {workspace.data_changes}, and the bounds in "
            "validation.changes"
        )
    hashes = {name: artifact.hash for name, artifact in inputs.items()}
    stays = {} if validated is None else kept(workspace, validated.hash)
    for name, artifact in inputs.items():
        for parent, expected in artifact.meta.parents.items():
            if parent == "validated_dataset" and stays.get(name) == hashes[name]:
                continue  # made from earlier data, on purpose
            if parent in hashes and hashes[parent] != expected:
                raise ArtifactError(
                    f"{name} was made from another {parent} ({expected}) than the one here "
                    f"({hashes[parent]}): `rabtriever run {name}` first, then {stage.name}"
                )
    return inputs


def _kept(workspace: Workspace, name: str, inputs: dict[str, Artifact]) -> Artifact | None:
    """The stage's artifact where it is kept for the data here."""
    if "validated_dataset" not in inputs:
        return None
    wanted = kept(workspace, inputs["validated_dataset"].hash).get(name)
    if wanted is None:
        return None
    artifact = load_artifact(workspace.artifact(name))
    return artifact.model_copy(update={"reused": True}) if artifact.hash == wanted else None
