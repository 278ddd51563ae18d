"""How much must be trained again when the data change, and training just that.

`reindex` keeps all models and embeds new documents; `predictor` trains the student's predictor on
the teacher there is; `full` trains everything. Whatever is kept is what the served release has.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from rabtriever_core.config import RetrainingConfig
from rabtriever_core.data.changes import changed_rows, changed_training
from rabtriever_core.data.findings import broken_rules
from rabtriever_core.data.profile import Profile
from rabtriever_core.errors import ArtifactError, ConfigError, ReleaseError, ValidationStoppedError
from rabtriever_core.releases.data_changes import compare_versions
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import logged_release
from rabtriever_core.releases.store import fetch, part_folder
from rabtriever_core.stages.kept import MODELS, MODELS_AND_STUDENT, keep
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash, load_artifact, replace_folder
from rabtriever_core.workspace.atomic import write_json

if TYPE_CHECKING:
    from rabtriever_core.workspace.artifacts import Artifact

logger = logging.getLogger(__name__)

Kind = Literal["none", "reindex", "predictor", "full"]
KEPT: dict[Kind, tuple[str, ...]] = {
    "none": MODELS_AND_STUDENT,
    "reindex": MODELS_AND_STUDENT,
    "predictor": MODELS,
    "full": (),
}
"""Kind → stages whose artifacts stay."""


@dataclass(frozen=True)
class Need:
    """What has to be done for new data."""

    kind: Kind
    reason: str


@dataclass(frozen=True)
class Retrained:
    """What was done, and what it spared."""

    kind: Kind
    reason: str
    seconds: dict[str, float]
    """Stage → duration, of those that ran."""
    spared: dict[str, float]
    """Kept stage → duration of its last real run here; embeddings: against those of all documents,
    where they were timed here."""
    embedded: int
    """Documents that were embedded."""


def retraining_needed(previous: Profile | None, current: Profile, config: RetrainingConfig) -> Need:
    """What the change of the data asks for; settings and code are not looked at.

    Args:
        previous: of the data of the served release; None where none is served.
        current: of the data now.
        config: where the teacher must be trained again.
    """
    if previous is None:
        return Need("full", "no release is served: there is nothing to go on from")
    share = changed_training(previous, current)
    if share > config.max_changed_share:
        return Need(
            "full",
            f"{share:.1%} of the training examples are new or gone, more than "
            f"retraining.max_changed_share = {config.max_changed_share:.1%}",
        )
    if share > 0:
        return Need(
            "predictor",
            f"{share:.1%} of the training examples are new or gone, no more than "
            f"retraining.max_changed_share = {config.max_changed_share:.1%}",
        )
    changed = {
        table: rows for table, rows in changed_rows(previous, current).items() if rows.differ
    }
    if changed:
        said = ", ".join(
            f"{table} +{rows.added} -{rows.removed} ~{rows.changed}"
            for table, rows in changed.items()
        )
        return Need("reindex", f"the training examples are the same; {said}")
    return Need("none", "the data are those of the served release")


def retraining_kind(name: str) -> Kind:
    """A kind by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    for kind in KEPT:
        if kind == name:
            return kind
    raise ConfigError(f"retraining {name!r}: it is one of {', '.join(KEPT)}")


def needed_now(workspace: Workspace) -> Need:
    """What the data validated last ask for, against those of the served release.

    Raises:
        ArtifactError: the data were not validated.
        ReleaseError: the served release's data are missing and cannot be brought back.
    """
    train = workspace.settings.dataset.train_split
    validated = load_artifact(workspace.artifact("validated_dataset"))
    served = logged_release(workspace)
    previous = None
    if served is not None:
        fetch(workspace, served)
        previous = Profile.load(part_folder(workspace, served.parts["validated_dataset"]), train)
    current = Profile.load(validated.folder, train)
    return retraining_needed(previous, current, workspace.settings.retraining)


def prepare(workspace: Workspace, kind: Kind) -> tuple[str, ...]:
    """Keep what this kind of retraining keeps: the served release's models, for the data validated.

    Returns:
        The stages that are kept.

    Raises:
        ArtifactError: there is no such model.
        ReleaseError: one is missing from the store and cannot be brought back.
    """
    stages = KEPT[kind]
    served = logged_release(workspace)
    if stages and served is not None:
        # A candidate that was refused may lie here; its embeddings are of its teacher.
        _bring(workspace, served, stages)
        if not _of_teacher(workspace, served.parts["teacher"]):
            _bring(workspace, served, ("document_embeddings",))
    keep(workspace, stages)
    return stages


def warm(workspace: Workspace) -> Workspace:
    """The workspace with a student that starts from the served one's predictor.

    Raises:
        ReleaseError: no release is served, or its student cannot be brought back.
    """
    served = logged_release(workspace)
    if served is None:
        raise ReleaseError("no release is served: there is no predictor to start from")
    fetch(workspace, served)
    _copy(workspace, served.parts["student"], "served_student")
    settings = workspace.settings
    student = settings.student.model_copy(update={"start": "served"})
    return replace(workspace, settings=settings.model_copy(update={"student": student}))


def retrain(
    workspace: Workspace,
    kind: Kind | None = None,
    *,
    warm_start: bool = False,
    done: "Callable[[str, Artifact], None]" = lambda *_: None,
) -> Retrained:
    """Run the stages that the data ask for; releasing the outcome is for the caller.

    Args:
        workspace: where to run.
        kind: what to do; what `needed_now` says when not given.
        warm_start: start the predictor from the served one.
        done: called after every stage with its name and artifact.

    Raises:
        ValidationStoppedError: the data are not fit for use, or changed beyond a bound.
        ArtifactError: a model to be kept is missing.
        ReleaseError: nothing is served to start from, or it cannot be brought back.
    """
    validated = run_stage(workspace, "validated_dataset")
    done("validated_dataset", validated)
    verdict = compare_versions(workspace)
    if not validated.meta.metrics["passed"] or verdict.broken:
        broken = [*broken_rules(validated.meta.metrics), *verdict.broken]
        raise ValidationStoppedError(f"nothing is trained: the data broke {'; '.join(broken)}")
    need = needed_now(workspace) if kind is None else Need(kind, "as asked for")
    logger.info("%s: %s", need.kind, need.reason)
    if need.kind == "none":
        return Retrained("none", need.reason, {}, {}, 0)
    stages = prepare(workspace, need.kind)
    if warm_start and need.kind == "predictor":
        workspace = warm(workspace)
    ran: dict[str, float] = {}
    embedded = 0
    for stage in STAGES[1:]:
        artifact = run_stage(workspace, stage.name)
        done(stage.name, artifact)
        if not artifact.reused:
            ran[stage.name] = workspace.seconds()[stage.name]
            if stage.name == "document_embeddings":
                embedded = workspace.embedding_work()["embedded"]
    outcome = Retrained(need.kind, need.reason, ran, _spared(workspace, stages), embedded)
    write_json(workspace.root / "logs" / "retraining.json", asdict(outcome))
    return outcome


def _spared(workspace: Workspace, kept: tuple[str, ...]) -> dict[str, float]:
    seconds = workspace.seconds()
    spared = {stage: float(seconds[stage]) for stage in kept if stage in seconds}
    full = workspace.embedding_work().get("full")
    if full:
        took = workspace.embedding_work()
        if took["incremental"]:
            spared["document_embeddings"] = round(full["seconds"] - took["seconds"], 3)
    return spared


def _of_teacher(workspace: Workspace, teacher: str) -> bool:
    """Whether the embeddings here, if any, are a teacher's."""
    try:
        here = load_artifact(workspace.artifact("document_embeddings"))
    except ArtifactError:
        return False
    return here.meta.parents["teacher"] == teacher


def _bring(workspace: Workspace, served: Release, stages: tuple[str, ...]) -> None:
    differing = [
        name
        for name in stages
        if not workspace.artifact(name).is_dir()
        or folder_hash(workspace.artifact(name)) != served.parts[name]
    ]
    if differing:
        fetch(workspace, served)
    for name in differing:
        logger.info("%s: taken from release %s", name, served.id)
        _copy(workspace, served.parts[name], name)


def _copy(workspace: Workspace, hash_: str, name: str) -> None:
    scratch = workspace.work / "retraining" / name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(part_folder(workspace, hash_), scratch)
    replace_folder(scratch, workspace.artifact(name))
