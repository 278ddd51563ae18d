"""An application that asks all the while: `python -m tests.year.client WORK OUT STOP`.

Every poll asks Qdrant which release is served and answers with that release's models. What it got
is held against the release's own stored vectors, so that hits of another release, or a tower of
one release on the collection of another, are noticed. It ends when the file STOP is there.
"""

import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.index.connection import connect
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_release
from rabtriever_core.releases.serving import OpenRelease, open_release
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace

K, PAUSE_SECONDS, PATIENCE_SECONDS = 5, 0.5, 600.0


class Reader:
    """Keeps the release that it used last, as a service would."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.open(root)
        self._opened = cache(lambda id_: open_release(self.workspace, self._releases[id_]))
        self._stored = cache(lambda id_: _stored(self.workspace, self._opened(id_)))
        self._releases: dict[str, Release] = {}

    def ask(self, text: str) -> dict[str, Any]:
        """Ask once; says which release answered, and whether every hit is that release's."""
        began = time.monotonic()
        # In local mode a reader waits for a promoter that has the folder open.
        settings, folder = self.workspace.settings.index, self.workspace.qdrant
        with connect(settings, folder, lock_seconds=PATIENCE_SECONDS) as client:
            waited = time.monotonic() - began
            release = served_release(client, self.workspace)
            self._releases[release.id] = release
            opened = self._opened(release.id)
            (hits,) = opened.search(client, [text], K)
        ids, vectors = self._stored(release.id)
        (margins,) = opened.tower.encode([text]).margins(vectors)
        expected = dict(zip(ids, margins.tolist(), strict=True))
        best = sorted(expected.values(), reverse=True)[: len(hits)]
        own = all(
            abs(hit.margin - expected.get(hit.document_id, np.inf)) < 1e-3 for hit in hits
        ) and np.allclose([hit.margin for hit in hits], best, atol=1e-3)
        return {
            "release": release.id,
            "own": bool(own),
            "hits": [hit.document_id for hit in hits],
            "waited": round(waited, 3),
            "seconds": round(time.monotonic() - began, 3),
        }


def _stored(workspace: Workspace, opened: OpenRelease) -> tuple[list[str], np.ndarray]:
    folder = check(workspace, opened.release, ("document_embeddings",))["document_embeddings"]
    documents = StoredDocuments.open(folder)
    return documents.ids, documents.stored(opened.tower)


def main(root: Path, out: Path, stop: Path) -> None:
    """Ask until told to stop; one line of JSON per answer or error."""
    reader = Reader(root)
    release = next(iter((root / "releases").glob("*.json")))
    record = Release.model_validate(
        {k: v for k, v in json.loads(release.read_text()).items() if k != "checksum"}
    )
    folder = check(reader.workspace, record, ("validated_dataset",))["validated_dataset"]
    queries = list(read_dataset(folder, record.dataset).queries.values())
    number = 0
    with out.open("a", encoding="utf-8") as file:
        while not stop.exists():
            text = queries[number * 7919 % len(queries)]
            try:
                row = reader.ask(text)
            except Exception as error:  # every error is what this looks for
                row = {"error": f"{type(error).__name__}: {error}"}
            file.write(json.dumps({"time": time.time(), "query": text} | row) + "\n")
            file.flush()
            number += 1
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
