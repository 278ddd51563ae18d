"""Which artifacts are up to date, and why others are not; nothing is built or written."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from rabtriever_core.errors import (
    ArtifactError,
    DatasetError,
    IndexUnavailableError,
    ModelError,
    ValidationStoppedError,
)
from rabtriever_core.stages.identity import default_values, stage_identity, stage_module
from rabtriever_core.stages.kept import kept
from rabtriever_core.stages.registry import STAGES, Stage
from rabtriever_core.stages.run import NOT_LIVE, load_inputs
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import (
    MISSING,
    Artifact,
    fault,
    load_artifact,
)
from rabtriever_core.workspace.identity import differences

State = Literal["up to date", "outdated", "missing", "damaged", "stopped", "unknown"]


@dataclass(frozen=True)
class StageStatus:
    """A stage's artifact as it is now."""

    stage: str
    state: State
    reasons: tuple[str, ...] = ()
    """Why it is not up to date; or why it is although its inputs changed."""
    version: int = 1
    """Of the stage's code in this package."""
    hash: str | None = None
    """Of the artifact that is there; None without a whole one."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"reasons": list(self.reasons)}


def workspace_status(workspace: Workspace) -> list[StageStatus]:
    """The status of every stage, in the order they run.

    What a stage reads and what would be built anew may come out as it was; the stages after it are
    then found up to date when they run. Here they count as outdated.

    Raises:
        ArtifactError: `artifacts/kept.json` or the comparison with the last data is damaged.
    """
    found: dict[str, StageStatus] = {}
    for stage in STAGES:
        found[stage.name] = _status(workspace, stage, found)
    return list(found.values())


def _status(workspace: Workspace, stage: Stage, earlier: dict[str, StageStatus]) -> StageStatus:
    def status(state: State, *reasons: str, hash_: str | None = None) -> StageStatus:
        return StageStatus(stage.name, state, reasons, stage.version, hash_)

    try:
        artifact = load_artifact(workspace.artifact(stage.name))
    except ArtifactError as error:
        if not workspace.artifact(stage.name).exists():
            return status("missing", MISSING)
        return status("damaged", fault(error))
    waiting = [
        f"{name} is {earlier[name].state}"
        for name in stage.inputs_with(workspace.settings)
        if earlier[name].state != "up to date"
    ]
    if waiting:
        return status("outdated", *waiting, hash_=artifact.hash)
    try:
        state, reasons = _compare(workspace, stage, artifact)
    except ValidationStoppedError as error:
        state, reasons = "stopped", [str(error)]
    except (ArtifactError, DatasetError, ModelError) as error:
        state, reasons = "outdated", [str(error)]
    except IndexUnavailableError as error:
        state, reasons = "unknown", [str(error)]
    return status(state, *reasons, hash_=artifact.hash)


def _compare(workspace: Workspace, stage: Stage, artifact: Artifact) -> tuple[State, list[str]]:
    """The artifact against what would be made now."""
    module = stage_module(stage.name)
    if not stage.inputs and not workspace.dataset_folder.is_dir():
        return "outdated", [f"there is no {workspace.dataset_folder}"]
    inputs = load_inputs(workspace, stage)
    if "validated_dataset" in inputs:
        stays = kept(workspace, inputs["validated_dataset"].hash).get(stage.name)
        if stays == artifact.hash:
            return "up to date", ["kept for these data (see `rabtriever retrain`)"]
    if hasattr(module, "further_inputs"):
        inputs |= module.further_inputs(workspace)
    reasons = differences(
        artifact.meta.identity, stage_identity(workspace, stage, inputs), default_values()
    )
    if not reasons and hasattr(module, "is_live") and not module.is_live(workspace):
        reasons = [NOT_LIVE]
    return ("outdated", reasons) if reasons else ("up to date", [])
