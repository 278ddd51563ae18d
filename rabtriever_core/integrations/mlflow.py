"""MLflow: releases as runs, served ones as versions of a registered model (extra `mlflow`).

What was told before is not told again, and what a killed process began is begun anew, so that a
server that was away is brought up to date by the next call.
"""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rabtriever_core.config.secrets import without_secrets
from rabtriever_core.errors import ConfigError, ModelError, ReleaseError, TrackingError
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.mlflow_model import save_model
from rabtriever_core.integrations.mlflow_run import allowed, log_release
from rabtriever_core.releases.log import SERVING, last_served, read_log, retired
from rabtriever_core.releases.record import METRIC, Release, read_releases
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import stage_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

ALIAS = "served"
"""Of the version that is served, by the log of releases."""
RELEASE, REFUSED = "rabtriever.release", "rabtriever.no_model"
"""Tags: the release of a run or a version; why a run has no model."""
_MODEL = "model"


@dataclass(frozen=True)
class Told:
    """What MLflow did not know yet."""

    runs: list[str]
    """Releases."""
    versions: dict[str, str]
    """Release → version of the model."""
    served: str | None
    """The release that the alias leads to now."""


def tell_mlflow(workspace: Workspace) -> Told:
    """Bring the MLflow of `tracking.mlflow` up to date with the releases of a workspace.

    Raises:
        ConfigError: the setting is null, or the extra `mlflow` is not installed.
        TrackingError: MLflow cannot be reached, or refuses.
        ReleaseError: a record or the log is damaged.
        StageBusyError: another process does so.
    """
    address = workspace.settings.tracking.mlflow
    if address is None:
        raise ConfigError("tracking.mlflow is null: set it to the address of an MLflow server")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise missing_extra("mlflow", error) from error
    # A promotion waits: MLflow would try for minutes. The next call catches up.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    # On stdout, where --json has one value.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        with stage_lock(workspace.work, "mlflow"):
            return _told(workspace, MlflowClient(address, address))
    except MlflowException as error:
        said = without_secrets(" ".join(str(error).split()))
        raise TrackingError(f"MLflow at {address}: {said:.500}") from error


def keep_mlflow_informed(workspace: Workspace) -> None:
    """`tell_mlflow` where it is asked for: for what must not fail because MLflow does."""
    if workspace.settings.tracking.mlflow is None:
        return
    try:
        tell_mlflow(workspace)
    except Exception as error:
        # Whatever it is: the release is served already, and the next call tells it again.
        logger.warning(
            "MLflow was not told, all else is done: %s; `rabtriever releases track` catches up",
            without_secrets(f"{error or type(error).__name__}"),
        )


def _told(workspace: Workspace, client: "MlflowClient") -> Told:
    name = workspace.alias
    experiment = _experiment(client, workspace.settings.tracking.experiment or name)
    releases, events = read_releases(workspace), read_log(workspace)
    runs = {run.data.tags[RELEASE]: run for run in _runs(client, experiment)}
    new = []
    for id_, release in releases.items():
        if id_ not in runs or runs[id_].info.status != "FINISHED":
            if id_ in runs:  # a process was killed
                client.delete_run(runs[id_].info.run_id)
            runs[id_] = log_release(client, experiment, workspace, release, {RELEASE: id_})
            new.append(id_)
    _create(partial(client.create_registered_model, name, description=_about(workspace)))
    found = client.search_model_versions(f"name = '{name}'", max_results=10_000)
    versions = {each.tags[RELEASE]: each.version for each in found if RELEASE in each.tags}
    added = {}
    gone, served = retired(events), last_served(events)
    for id_ in dict.fromkeys(event.release for event in events if event.action in SERVING):
        if id_ in versions or id_ in gone or id_ not in releases or _refused(runs[id_]):
            continue
        if version := _register(client, workspace, releases[id_], runs[id_]):
            versions[id_] = added[id_] = version
    leads_to = client.get_registered_model(name).aliases.get(ALIAS)
    wanted = versions.get(served or "")
    if wanted is not None and wanted != leads_to:
        client.set_registered_model_alias(name, ALIAS, wanted)
    elif wanted is None and leads_to is not None:
        client.delete_registered_model_alias(name, ALIAS)
    return Told(new, added, served if wanted is not None else None)


def _about(workspace: Workspace) -> str:
    return (
        f"Releases of the data set {workspace.settings.dataset.name}, searched as "
        f"{workspace.alias}. The alias `{ALIAS}` moves with promotions and rollbacks."
    )


def _experiment(client: "MlflowClient", name: str) -> str:
    # Else its pages are those of language models' applications, which have no metrics of a run.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    _create(partial(client.create_experiment, name, tags=kind))
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise TrackingError(f"MLflow's experiment {name!r} was deleted there: restore it")
    return str(experiment.experiment_id)


def _create(make: Callable[[], Any]) -> None:
    """Make something that may be there."""
    from mlflow.exceptions import MlflowException

    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _runs(client: "MlflowClient", experiment: str) -> "Iterator[Run]":
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{RELEASE}` LIKE '%'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _refused(run: "Run") -> bool:
    return REFUSED in run.data.tags


def _register(
    client: "MlflowClient", workspace: Workspace, release: Release, run: "Run"
) -> str | None:
    """A new version with the release's model; None where it has none, or not on this machine."""
    id_ = run.info.run_id
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / _MODEL
        try:
            save_model(workspace, release, folder)
        except ModelError as error:
            client.set_tag(id_, REFUSED, str(error))
            logger.warning("release %s is no model for MLflow: %s", release.id, error)
            return None
        except ReleaseError as error:
            # Whoever has its files tells.
            logger.warning("MLflow was told nothing of a model: %s", error)
            return None
        client.log_artifacts(id_, str(folder), _MODEL)
    told = {
        f"{split} {allowed(METRIC)}": f"{value:.4f}" for split, value in release.quality.items()
    }
    if release.override is not None:
        told["override"] = f"{release.override.by}: {release.override.reason}"
    version = client.create_model_version(
        workspace.alias,
        f"{run.info.artifact_uri}/{_MODEL}",
        id_,
        tags={
            RELEASE: release.id,
            "collection": release.collection,
            "dataset": release.dataset,
            "data": release.data,
            "documents": str(release.count),
        }
        | told,
        description=f"Release {release.id}, made by {release.created_by}",
        await_creation_for=0,
    )
    return str(version.version)
