"""Ask the served release the team's canaries, at any time."""

import hashlib
from dataclasses import dataclass

from rabtriever_core.index.connection import connect
from rabtriever_core.releases.canary_file import failing, read_canaries
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import open_release
from rabtriever_core.workspace import Workspace


@dataclass(frozen=True)
class Canaries:
    """What became of the canaries."""

    release: str
    """The served one; empty where nothing was asked."""
    asked: int
    problems: list[str]
    """One line per canary that does not get what it must."""

    @property
    def key(self) -> str:
        """Names the release and what fails in it: the same key, no news."""
        found = "\n".join([self.release, *sorted(self.problems)])
        return f"{self.release}-{hashlib.sha256(found.encode()).hexdigest()[:12]}"

    @property
    def text(self) -> str:
        """The finding in one line."""
        if not self.asked:
            return "no canaries.jsonl"
        right = self.asked - len(self.problems)
        said = f"{right} of {self.asked} canaries get what they must from release {self.release}"
        return "; ".join([said, *self.problems[:5]])


def ask_canaries(workspace: Workspace) -> Canaries:
    """Ask `canaries.jsonl` of the served release; without the file nothing is opened.

    Raises:
        ConfigError: canaries.jsonl is malformed.
        IndexMismatchError: nothing is served, or nothing that was released.
        ReleaseError: the release is not here, or not complete.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    canaries = read_canaries(workspace)
    if not canaries:
        return Canaries("", 0, [])
    # In local mode readers wait: Qdrant is not held open while models are loaded.
    served = served_now(workspace)
    opened = open_release(workspace, served)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        problems = failing(client, opened, canaries, workspace.settings.gates.canary_depth)
    return Canaries(served.id, len(canaries), problems)
