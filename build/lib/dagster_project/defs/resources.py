"""The workspace as a Dagster resource: run a stage there, record it, hand out its version."""

import logging
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field, PrivateAttr

from dagster_project.failures import as_failure
from rabtriever_core.dvc.recording import record_stage
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact

logger = logging.getLogger(__name__)

PARTITION_TAG = "dagster/partition"
AS_NEEDED = "as_needed"


@dataclass(frozen=True)
class Recorded:
    """An artifact, DVC's hash of it, and how long its last real run took."""

    artifact: Artifact
    data_version: str
    seconds: float | None


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """Where the pipeline runs; `rabtriever init` makes such a folder."""

    root: str = Field(default="", description="Absolute path of the only workspace.")
    roots: dict[str, str] = Field(
        default={}, description="Partition → absolute path of its workspace."
    )
    retraining: str = Field(
        default="",
        description="What is kept although the data changed. reindex: all models; predictor: the "
        "teacher; as_needed: what the change of the data allows; full: nothing any more; empty: "
        "what was kept for these data before.",
    )
    _chosen: str = PrivateAttr("")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Take the workspace of the run's partition, where there are several."""
        if self.roots:
            partition = context.run.tags.get(PARTITION_TAG, "") if context.run else ""
            self._chosen = self.roots.get(partition, "")

    def open(self) -> Workspace:
        """Open the workspace with the settings it has now.

        Raises:
            dagster.Failure: there is none, or a setting is invalid.
        """
        if self.roots and not self._chosen:
            raise dg.Failure(
                f"choose one of the partitions {', '.join(self.roots)}: each is a workspace",
                allow_retries=False,
            )
        with as_failure():
            return Workspace.open(Path(self._chosen or self.root))

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
        why = "; ".join(artifact.reasons)
        done = "was up to date" if artifact.reused else f"built in {seconds} s ({why})"
        logger.info("%s: %s, %s", stage, done, artifact.folder)
        return Recorded(artifact, version, seconds)

    def _new_data(self, workspace: Workspace) -> None:
        """Compare with the version before, and keep the models that this run is to keep."""
        from rabtriever_core.automation.retraining import needed_now, prepare, retraining_kind
        from rabtriever_core.releases.data_changes import compare_versions

        compare_versions(workspace)
        if not self.retraining:
            return
        if self.retraining == AS_NEEDED:
            need = needed_now(workspace)
            logger.info("%s: %s", need.kind, need.reason)
            kind = need.kind
        else:
            kind = retraining_kind(self.retraining)
        for kept in prepare(workspace, kind):
            # DVC's ledger, too, says that they go with these data.
            record_stage(workspace, kept)
            logger.info("%s: kept", kept)
