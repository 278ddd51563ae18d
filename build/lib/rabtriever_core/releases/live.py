"""Whether what is served still is the release that was promoted."""

from rabtriever_core.index.checks.live_checks import CHECKED_PARTS, LiveIndex, check_collection
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import release_index
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace


def check_served_index(workspace: Workspace) -> LiveIndex:
    """Count, probe queries and ranking of the served collection, against its release's parts.

    Raises:
        IndexMismatchError: nothing is served, or it was not built from the release's artifacts.
        ReleaseError: the release is not here, or not complete.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    release = served_now(workspace)
    folders = check(workspace, release, CHECKED_PARTS)
    return check_collection(workspace, folders, release_index(workspace, release))
