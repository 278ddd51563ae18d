"""Ask the served index one question: student in, ranked documents out."""

from dataclasses import replace

from rabtriever_core.artifacts import load_artifact
from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.aliases import check_served, served_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.quantization import search_params
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.search import Hit, search
from rabtriever_core.models.calibration import Calibration
from rabtriever_core.workspace import Workspace


def ask(workspace: Workspace, text: str, k: int, min_probability: float | None = None) -> list[Hit]:
    """The k documents that answer a query best, through the alias that applications use.

    Nothing is held back: where no hit `fits`, the first ones are the best of what does not.

    Args:
        workspace: where the models and the calibration are.
        text: the query.
        k: documents.
        min_probability: of a hit that fits, instead of the calibration's threshold.

    Raises:
        ArtifactError: an artifact is missing, damaged or of other parents; only a calibration may
            be missing, unless `min_probability` asks for it.
        IndexMismatchError: nothing is served, or it was built by another teacher, student or
            gauge.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    made_by = _tower(workspace)
    calibration = calibration_of(workspace)
    if min_probability is not None and calibration is None:
        raise ArtifactError(
            f"a least probability of {min_probability} needs a calibration, and there is none at "
            f"{workspace.artifact('calibration')}: run `rabtriever run calibration` first"
        )
    index = workspace.settings.index
    with connect(index, workspace.qdrant) as client:
        served = served_collection(client, workspace.alias)
        check_served(served, made_by)
        tower = QueryTower.load(
            workspace.artifact("student"),
            workspace.artifact("teacher"),
            # Its own copy of the gauge: the embeddings may already be of a next build.
            workspace.artifact("qdrant_collection"),
            index,
            workspace.settings.runtime,
        )
        check_served(served, {"gauge": tower.gauge.fingerprint})
        # The collection that was checked, wherever the alias moves meanwhile.
        hits = search(client, served.name, tower.encode([text]), k, search_params(index))[0]
    if calibration is None:
        return hits
    threshold = calibration.threshold if min_probability is None else min_probability
    probabilities = calibration.probabilities([hit.margin for hit in hits]).tolist()
    return [
        replace(hit, calibrated=p, fits=None if threshold is None else p >= threshold)
        for hit, p in zip(hits, probabilities, strict=True)
    ]


def calibration_of(workspace: Workspace) -> Calibration | None:
    """The calibration of the student here; None where none was fitted yet.

    Raises:
        ArtifactError: it is damaged, or was fitted for another student or teacher.
    """
    folder = workspace.artifact("calibration")
    if not folder.exists():
        return None
    load_artifact(folder, parents=_tower(workspace))
    return Calibration.load(folder)


def _tower(workspace: Workspace) -> dict[str, str]:
    """Hashes of the query tower's parts."""
    return {part: load_artifact(workspace.artifact(part)).hash for part in ("teacher", "student")}
