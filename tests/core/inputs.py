"""Finished artifacts, as the stages before would leave them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import build_artifact
from rabtriever_core.workspace.identity import Identity

PASSED = {"passed": True, "broken": []}
"""What the stage validated_dataset says of a data set that is fit for use."""


def finished(
    workspace: Workspace,
    dataset: str,
    stage: str,
    parents: dict[str, str],
    save: Callable[[Path], object],
    metrics: dict[str, Any] = PASSED,
    *,
    content: str | None = None,
) -> str:
    """Build a stage's artifact without running it; returns its hash.

    Args:
        workspace: where it belongs.
        dataset: fingerprint of the data set.
        stage: whose artifact.
        parents: hashes of the artifacts it says it was made from.
        save: writes its files into a folder.
        metrics: what the stage would have measured.
        content: what tells two versions of it apart.
    """

    def make(output: Path, _: Path) -> dict[str, Any]:
        save(output)
        return metrics

    return build_artifact(
        workspace.artifact(stage),
        work=workspace.work,
        identity=Identity(
            stage=stage,
            version=1,
            config={"content": content},
            parents=parents,
            dataset=dataset,
        ),
        make=make,
    ).hash
