"""What was made outside Dagster, by `rabtriever run` or `dvc repro`: told to Dagster afterwards.

Each artifact that is not what Dagster knows of becomes a materialization with the metadata and the
data version that a run of its asset would have given it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from dagster_project.defs import assets
from dagster_project.defs.assets import (
    benchmark_report,
    dataset,
    document_embeddings,
    qdrant_collection,
    release,
    validated_dataset,
)
from dagster_project.defs.presentation import Metadata, artifact_metadata
from dagster_project.defs.resources import PARTITION_TAG, Recorded
from dagster_project.defs.story import changed_since, last_materialization
from dagster_project.workspaces import SINGLE
from rabtriever_core.dvc.recording import DATA, data_md5
from rabtriever_core.stages.kept import kept
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact, folder_hash, stated_artifact

WHY = "found in the workspace, made outside Dagster"

_SPECS = {
    spec.key.to_user_string(): spec
    for loaded in dg.load_assets_from_package_module(assets)
    if isinstance(loaded, dg.AssetsDefinition)
    for spec in loaded.specs
}
_FURTHER = {
    "validated_dataset": validated_dataset.shown,
    "document_embeddings": document_embeddings.shown,
    "qdrant_collection": qdrant_collection.shown,
    "benchmark_report": benchmark_report.shown,
}
"""Stage → what its asset shows beside what all show."""
_GOING = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Found:
    """What lies in the workspace under an asset's name."""

    asset: str
    version: str
    """Its data version."""
    code_version: str
    shown: Callable[[], Metadata]
    """What the asset's own run would have shown."""
    made_from: Mapping[str, str] = field(default_factory=dict)
    """Input → its data version; of inputs that are not named here, the one that Dagster knows."""


def report_outside(
    instance: dg.DagsterInstance, workspace: Workspace, name: str = SINGLE
) -> list[str]:
    """Tell Dagster what it does not know yet; nothing while a run of the workspace is going on.

    Args:
        instance: Dagster's records.
        workspace: where to look.
        name: the workspace's partition; none where there is only one.

    Returns:
        The assets that were told of.

    Raises:
        RabtrieverError: something in the workspace is damaged, or is being replaced.
    """
    partition = None if name == SINGLE else name
    told: list[str] = []
    if _is_running(instance, name):
        return told
    for found in _unknown(instance, workspace, partition):
        key = dg.AssetKey(found.asset)
        last = last_materialization(instance, key, partition)
        metadata = changed_since(last, found.shown(), key)
        # A run that has begun meanwhile tells of what it makes itself.
        if _is_running(instance, name):
            break
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                key,
                description=WHY,
                metadata=metadata,
                partition=partition,
                tags=_provenance(instance, found, partition),
            )
        )
        told.append(found.asset)
    return told


def _is_running(instance: dg.DagsterInstance, name: str) -> bool:
    runs = instance.get_runs(dg.RunsFilter(statuses=_GOING))
    return any(run.tags.get(PARTITION_TAG, name) == name for run in runs)


def _unknown(
    instance: dg.DagsterInstance, workspace: Workspace, partition: str | None
) -> Iterator[Found]:
    """Everything that is there in another version than Dagster knows, inputs first."""

    def is_unknown(asset: str, version: str) -> bool:
        return _version(last_materialization(instance, dg.AssetKey(asset), partition)) != version

    for found in _artifacts(workspace):
        if not is_unknown(found.asset, found.version):
            continue
        if found.asset == "validated_dataset":
            # The raw data are read for their hash only where they were validated anew.
            raw = data_md5(workspace.root)
            if (
                raw is not None
                and is_unknown("dataset", raw)
                and folder_hash(workspace.root / DATA) == raw
            ):
                shown = partial(dataset.shown, workspace, raw)
                yield Found("dataset", raw, str(_SPECS["dataset"].code_version), shown)
        yield found
    served = _served(workspace)
    if served is not None and is_unknown(served.asset, served.version):
        yield served


def _artifacts(workspace: Workspace) -> Iterator[Found]:
    stays: dict[str, str] = {}
    for stage in STAGES:
        folder = workspace.artifact(stage.name)
        if not folder.exists():
            continue
        artifact, hash_ = stated_artifact(folder)
        if stage.name == "validated_dataset":
            stays = kept(workspace, hash_)
        yield Found(
            stage.name,
            hash_,
            str(artifact.meta.identity.version),
            partial(_shown, workspace, stage.name, artifact, hash_),
            {} if stays.get(stage.name) == hash_ else artifact.meta.parents,
        )


def _shown(workspace: Workspace, stage: str, artifact: Artifact, version: str) -> Metadata:
    artifact = artifact.model_copy(update={"reasons": (WHY,)})
    recorded = Recorded(artifact, version, workspace.seconds().get(stage))
    further = _FURTHER.get(stage)
    return artifact_metadata(recorded) | (further(recorded, workspace) if further else {})


def _served(workspace: Workspace) -> Found | None:
    from rabtriever_core.releases.log import SERVING, read_log
    from rabtriever_core.releases.served import logged_release

    record = logged_release(workspace)
    if record is None:
        return None
    *_, last = (event for event in read_log(workspace) if event.action in SERVING)
    shown = partial(release.shown, workspace, record, f"{last.action} by {last.by}")
    code = str(_SPECS["release"].code_version)
    return Found("release", record.id, code, shown, record.parts)


def _version(last: dg.EventLogRecord | None) -> str | None:
    """Data version of a materialization."""
    if last is None or last.asset_materialization is None:
        return None
    return (last.asset_materialization.tags or {}).get(DATA_VERSION_TAG)


def _provenance(
    instance: dg.DagsterInstance, found: Found, partition: str | None
) -> dict[str, str]:
    """Tags by which Dagster tells what is out of date, as it gives them itself."""
    tags = {
        CODE_VERSION_TAG: found.code_version,
        DATA_VERSION_TAG: found.version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
    }
    for dependency in _SPECS[found.asset].deps:
        key = dependency.asset_key
        last = last_materialization(instance, key, partition)
        known = _version(last)
        made_from = found.made_from.get(key.to_user_string(), known)
        version = DEFAULT_DATA_VERSION.value if made_from is None else made_from
        pointer = str(last.storage_id) if last and version == known else NULL_EVENT_POINTER
        tags |= {
            get_input_data_version_tag(key): version,
            get_input_event_pointer_tag(key): pointer,
        }
    return tags
