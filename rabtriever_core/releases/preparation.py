"""Before a release is served: its parts are fetched, its collection is there, whole and its own."""

import json
import logging
from typing import TYPE_CHECKING, Any

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.build import Source, build_and_verify
from rabtriever_core.index.checks.contents import mend
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.checks.probes import check_probes, recorded_probes
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.documents import release_documents
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.serving import OpenRelease, check_collection_of, open_release
from rabtriever_core.releases.store import check, fetch
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)

_MAX_QUERIES = 500


def prepare(workspace: Workspace, release: Release) -> OpenRelease:
    """Make sure of everything a reader will need; nothing that is served changes.

    Raises:
        ReleaseError: a part is missing.
        IndexMismatchError: the collection does not hold what it should.
    """
    fetch(workspace, release)
    opened = open_release(workspace, release)
    (folder,) = check(workspace, release, ("qdrant_collection",)).values()
    record: dict[str, Any] = json.loads((folder / "collection.json").read_text(encoding="utf-8"))
    with connect(workspace.settings.index, workspace.qdrant) as client:
        try:
            check_collection_of(client, opened)
        except IndexMismatchError as error:
            logger.info("%s; building it again from its embeddings", error)
            _build_again(client, workspace, opened, record["metadata"])
        check_probes(client, release.collection, opened.encoder, recorded_probes(record))
    return opened


def mend_collection(workspace: Workspace, opened: OpenRelease) -> None:
    """Upload again the points that Qdrant's storage no longer holds as they were."""
    release = opened.release
    dataset, embeddings = release_documents(workspace, release)
    documents, stored = dataset.documents, embeddings.stored_shards(opened.tower)
    words = None if opened.lexical is None else opened.lexical.documents(documents)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        mended = mend(client, release.collection, documents, stored, opened.index.batch_size, words)
    if mended:
        logger.warning(
            "%s: %d documents were damaged in Qdrant and are uploaded again, e.g. %s",
            release.collection,
            len(mended),
            mended[0],
        )


def _build_again(
    client: "QdrantClient", workspace: Workspace, opened: OpenRelease, metadata: dict[str, str]
) -> None:
    release = opened.release
    dataset, embeddings = release_documents(workspace, release)
    queries = dataset.split_queries(release.settings["dataset"]["dev_split"])
    texts = [dataset.queries[query] for query in spread(queries, _MAX_QUERIES)]
    build_and_verify(
        client,
        release.alias,
        release.collection.removeprefix(f"{release.alias}__"),
        Source(
            opened.tower,
            opened.encoder,
            dataset.documents,
            embeddings,
            texts,
            opened.lexical,
        ),
        metadata,
        opened.index,
        workspace.settings.gates.top10_agreement,
    )
