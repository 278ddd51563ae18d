"""Ask the served index one question: student in, ranked documents out."""

from dataclasses import replace

from rabtriever_core.artifacts import load_artifact
from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.aliases import check_served, served_collection
from rabtriever_core.index.connection import connect
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
        IndexMismatchError: nothing is served, or it was built by another teacher or student.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    from rabtriever_core.models.retriever import Rabtriever

    made_by = _tower(workspace)
    calibration = calibration_of(workspace)
    if min_probability is not None and calibration is None:
        raise ArtifactError(
            f"a least probability of {min_probability} needs a calibration, and there is none at "
            f"{workspace.artifact('calibration')}: run `rabtriever run calibration` first"
        )
    with connect(workspace.settings.index, workspace.qdrant) as client:
        check_served(served_collection(client, workspace.alias), made_by)
        tower = Rabtriever.load(
            workspace.artifact("student"), workspace.artifact("teacher"), workspace.settings.runtime
        )
        hits = search(client, workspace.alias, tower.encode_queries([text]), k)[0]
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
