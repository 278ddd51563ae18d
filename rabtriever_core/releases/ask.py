"""Ask the served release one question: student in, ranked documents out."""

from dataclasses import dataclass

from rabtriever_core.index.connection import connect
from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.index.search import Hit
from rabtriever_core.models.calibration import Calibration
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.serving import open_release, served_release
from rabtriever_core.workspace import Workspace


@dataclass(frozen=True)
class Answer:
    """Ranked documents, and whose they are."""

    hits: list[Hit]
    release: Release
    calibration: Calibration


def ask(
    workspace: Workspace,
    text: str,
    k: int,
    min_probability: float | None = None,
    filter: SearchFilter | None = None,
) -> Answer:
    """The k documents that answer a query best, from the release that is served.

    Nothing is held back: where no hit `fits`, the first ones are the best of what does not.

    Args:
        workspace: whose Qdrant and releases.
        text: the query.
        k: documents.
        min_probability: of a hit that fits, instead of the calibration's threshold.
        filter: which documents may be found (`rabtriever_core.index.filters`); there may be none.

    Raises:
        FilterError: the filter is none.
        IndexMismatchError: nothing is served, or nothing that was released.
        ReleaseError: the release is not here, or not complete.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    with connect(workspace.settings.index, workspace.qdrant) as client:
        opened = open_release(workspace, served_release(client, workspace))
        (hits,) = opened.search(client, [text], k, min_probability, filter)
    return Answer(hits, opened.release, opened.calibration)
