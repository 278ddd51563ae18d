"""The workspace as a Dagster resource: run a stage there, record it, hand out its version."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from dagster_project.failures import as_failure
from rabtriever_core.artifacts import Artifact
from rabtriever_core.stages.run import run_stage
from rabtriever_core.versioning import record_stage
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "RABTRIEVER_WORKSPACE"


def workspace_root() -> Path:
    """The workspace of this deployment: RABTRIEVER_WORKSPACE, or the current folder."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or ".").resolve()


@dataclass(frozen=True)
class Recorded:
    """An artifact, DVC's hash of it, and how long its last real run took."""

    artifact: Artifact
    data_version: str
    seconds: float | None


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """Where the pipeline runs; `rabtriever init` makes such a folder."""

    root: str = Field(description="Absolute path of the workspace.")
    retraining: str = Field(
        default="",
        description="reindex or predictor: models that are kept although the data changed; empty "
        "for everything that is out of date, full to keep none any more.",
    )

    def open(self) -> Workspace:
        """Open the workspace with the settings it has now.

        Raises:
            dagster.Failure: there is none, or a setting is invalid.
        """
        with as_failure():
            return Workspace.open(Path(self.root))

    def run(self, stage: str, *, force: bool) -> Recorded:
        """Run a stage and record it in DVC.

        Raises:
            dagster.Failure: the stage failed, or DVC could not record it.
        """
        workspace = self.open()
        logger.info("%s: started", stage)
        with as_failure():
            artifact = run_stage(workspace, stage, force=force)
            # A data set that is unfit for use is for people to look at, not for the ledger.
            fit = artifact.meta.metrics.get("passed", True)
            version = record_stage(workspace, stage) if fit else artifact.hash
            if stage == "validated_dataset" and fit:
                self._new_data(workspace)
        seconds = workspace.seconds().get(stage)
        done = "was up to date" if artifact.reused else f"built in {seconds} s"
        logger.info("%s: %s, %s", stage, done, artifact.folder)
        return Recorded(artifact, version, seconds)

    def _new_data(self, workspace: Workspace) -> None:
        """Compare with the version before, and keep the models that this run is to keep."""
        from rabtriever_core.releases.data_changes import compare_versions
        from rabtriever_core.retraining import prepare, retraining_kind

        compare_versions(workspace)
        if not self.retraining:
            return
        for kept in prepare(workspace, retraining_kind(self.retraining)):
            # DVC's ledger, too, says that they go with these data.
            record_stage(workspace, kept)
            logger.info("%s: kept", kept)
