"""Models that are kept although the data changed: `artifacts/kept.json`.

A stage's artifact belongs to the data it was made from; other data, and it is made again. To serve
a changed corpus, or to train no more than a predictor, models of earlier data are good enough, and
somebody (or `retraining_needed`) has to say so: for one version of the data, by content hash.
"""

import json
from collections.abc import Iterable

from rabtriever_core.errors import ArtifactError
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from rabtriever_core.workspace.atomic import write_json

FILE = "kept.json"
MODELS = ("backbone", "bi_encoder", "teacher")
"""What a retraining of the predictor alone keeps."""
MODELS_AND_STUDENT = (*MODELS, "student")
"""What a new index of changed documents keeps."""


def keep(workspace: Workspace, stages: Iterable[str]) -> dict[str, str]:
    """Keep the artifacts of these stages for the data validated last; others are kept no more.

    Returns:
        Stage → hash of the artifact.

    Raises:
        ArtifactError: an artifact is missing or damaged.
    """
    data = load_artifact(workspace.artifact("validated_dataset")).hash
    hashes = {name: load_artifact(workspace.artifact(name)).hash for name in stages}
    path = workspace.root / "artifacts" / FILE
    write_json(path, {"validated_dataset": data, "stages": hashes})
    return hashes


def kept(workspace: Workspace, data: str) -> dict[str, str]:
    """Stage → hash of the artifact that is kept for the data of this hash.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = workspace.root / "artifacts" / FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["stages"]) if content["validated_dataset"] == data else {}
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error!r:.100}): delete it; models are then trained again"
        ) from None
