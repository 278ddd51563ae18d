"""A release ready to answer: its models from the store, its collection by its own name.

A reader asks once which release is served (`rabtriever_core.releases.served`) and then uses that
one. The alias may move meanwhile; the answer is whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rabtriever_core.config import IndexConfig, RuntimeConfig
from rabtriever_core.config.retired import current_values
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError, IndexMismatchError, ReleaseError
from rabtriever_core.extras import missing_extra
from rabtriever_core.index.aliases import check_built_by, physical_collection
from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.index.hit import Hit
from rabtriever_core.index.hybrid import hybrid_search
from rabtriever_core.index.lexical import Lexical, hashes
from rabtriever_core.index.onnx.reader import QueryGraph
from rabtriever_core.index.quantization import search_params
from rabtriever_core.index.query_tower import QueryEncoder, QueryTower
from rabtriever_core.index.search import per_query, search
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.models.document_prefixes import DocumentPrefixes
    from rabtriever_core.models.reranker import GenerativeReranker

Section = TypeVar("Section", IndexConfig, RuntimeConfig)

SERVING_PARTS = ("teacher", "student", "qdrant_collection", "calibration")
"""What answering takes; the gauge lies in `qdrant_collection`."""
_RENAMED = {"index": {"canaries": "probe_queries"}}
"""Settings that records of earlier versions hold under another name."""


@dataclass(frozen=True, eq=False)
class OpenRelease:
    """A release ready to answer: query encoder, calibration and collection that belong together."""

    release: Release
    graph: QueryGraph | None
    """What encodes queries where the release carries a graph; else torch does."""
    calibration: Calibration
    index: IndexConfig
    """How its collection is stored and searched."""
    lexical: Lexical | None
    """BM25 that ranks beside the margin; None where it does not."""
    folders: Mapping[str, Path]
    """Its `SERVING_PARTS`, every byte checked."""
    runtime: RuntimeConfig
    """Where torch computes, and how."""
    prefix_bytes: int
    """For documents that the teacher has read, so that the next query need not wait for that."""

    def search(
        self,
        client: "QdrantClient",
        texts: Sequence[str],
        k: int | Sequence[int],
        min_probability: float | Sequence[float | None] | None = None,
        filters: SearchFilter | Sequence[SearchFilter | None] | None = None,
    ) -> list[list[Hit]]:
        """The k best documents of every query, with calibrated probabilities.

        Whatever is asked of all queries can be asked of each: then it is a sequence, a value for
        every query.

        Args:
            client: Qdrant.
            texts: the queries.
            k: documents.
            min_probability: of a hit that fits, instead of the calibration's threshold.
            filters: which documents may be found (`rabtriever_core.index.filters`); None for all.

        Raises:
            FilterError: a filter is none.
            ValueError: k is below 1, or there are not as many values as queries.
        """
        least = per_query("min_probability", min_probability, len(texts))
        encoded, params = self.encoder.encode(texts), search_params(self.index)
        # By its own name: wherever the alias points by now.
        collection, lexical = self.release.collection, self.lexical
        found = (
            search(client, collection, encoded, k, params, filters)
            if lexical is None
            else hybrid_search(client, collection, encoded, texts, lexical, k, params, filters)
        )
        fitted = self.calibration.threshold
        return [
            self._calibrated(hits, fitted if asked is None else asked)
            for hits, asked in zip(found, least, strict=True)
        ]

    @property
    def encoder(self) -> QueryEncoder:
        """What encodes queries for the collection."""
        return self.graph or self.tower

    @cached_property
    def tower(self) -> QueryTower:
        """The query tower in torch, loaded when it is first asked for.

        Raises:
            ConfigError: torch is not installed.
        """
        with _torch("release {} encodes queries", self.release):
            return QueryTower.load(
                self.folders["student"],
                self.folders["teacher"],
                self.folders["qdrant_collection"],
                self.index,
                self.runtime,
            )

    @cached_property
    def reranker(self) -> "GenerativeReranker":
        """The teacher, on the weights that the tower holds already where it has the same.

        With a tokenizer of its own: it may read while another thread encodes queries.

        Raises:
            ConfigError: torch is not installed.
        """
        teacher = self.folders["teacher"]
        with _torch("the teacher of release {} is read", self.release):
            from rabtriever_core.models.backbone import Backbone
            from rabtriever_core.models.prompt import Prompt
            from rabtriever_core.models.reranker import GenerativeReranker

            held = None if self.graph else self.tower.student.encoder
            if not isinstance(held, Backbone):
                return GenerativeReranker.load(teacher, self.runtime)
            return GenerativeReranker.on(Backbone(held.model, Prompt.load(teacher)), teacher)

    @cached_property
    def _prefixes(self) -> "DocumentPrefixes":
        from rabtriever_core.models.document_prefixes import DocumentPrefixes

        return DocumentPrefixes(self.reranker, self.prefix_bytes)

    def teacher_margins(self, query: str, documents: Sequence[Document]) -> list[float]:
        """The teacher's T − F logit of every document for a query; one thread at a time."""
        return [float(margin) for margin in self._prefixes.margins(query, documents)]

    def _calibrated(self, hits: list[Hit], threshold: float | None) -> list[Hit]:
        probabilities = self.calibration.probabilities([hit.margin for hit in hits]).tolist()
        return [
            replace(hit, probability=p, fits=None if threshold is None else p >= threshold)
            for hit, p in zip(hits, probabilities, strict=True)
        ]


def open_release(workspace: Workspace, release: Release) -> OpenRelease:
    """Load what a release answers with, every byte checked.

    Raises:
        ReleaseError: a part is missing or damaged, or of a version that this one cannot read.
    """
    folders = check(workspace, release, SERVING_PARTS, remembered=True)
    runtime = release_runtime(workspace, release)
    opened = OpenRelease(
        release=release,
        graph=QueryGraph.beside(folders["qdrant_collection"], runtime.threads),
        calibration=Calibration.load(folders["calibration"]),
        index=release_index(workspace, release),
        lexical=Lexical.load(folders["qdrant_collection"]),
        folders=folders,
        runtime=runtime,
        prefix_bytes=workspace.settings.serving.prefix_cache_mib * 2**20,
    )
    if opened.graph is None:
        _ = opened.tower  # the first query should not wait for it
    return opened


@contextmanager
def _torch(what: str, release: Release) -> Iterator[None]:
    """Name the extra where an installation that only asks has no torch."""
    try:
        yield
    except ImportError as error:
        needed = missing_extra("models", error)
        raise ConfigError(f"{what.format(release.id)} by torch; {needed}") from error


def check_collection_of(client: "QdrantClient", opened: OpenRelease) -> None:
    """Refuse a release's collection where it was not built from the release's artifacts.

    Raises:
        IndexMismatchError: it is gone, or other artifacts built it.
    """
    release = opened.release
    built = physical_collection(client, release.collection)
    parts = {name: release.parts[name] for name in ("teacher", "student", "document_embeddings")}
    parts |= {"gauge": opened.tower.gauge.fingerprint, **hashes(opened.lexical)}
    check_built_by(built, parts)
    if built.count != release.count:
        raise IndexMismatchError(
            f"collection {built.name} holds {built.count} points, release {release.id} has "
            f"{release.count} documents"
        )


def release_index(workspace: Workspace, release: Release) -> IndexConfig:
    """How a release is stored and searched, on the Qdrant that the workspace is set to now."""
    now = workspace.settings.index
    where = {"url": now.url, "api_key": now.api_key, "timeout_seconds": now.timeout_seconds}
    return _section(release, "index", IndexConfig, where)


def release_runtime(workspace: Workspace, release: Release) -> RuntimeConfig:
    """The precision a release was made with, on the device there is now."""
    now = workspace.settings.runtime
    where = {"threads": now.threads, "device": now.device}
    return _section(release, "runtime", RuntimeConfig, where)


def _section(release: Release, name: str, kind: type[Section], where: dict[str, Any]) -> Section:
    from pydantic import ValidationError

    renamed = _RENAMED.get(name, {})
    values = {renamed.get(key, key): value for key, value in release.settings.get(name, {}).items()}
    try:
        return kind.model_validate(current_values(kind, values, name) | where)
    except ValidationError as error:
        raise ReleaseError(
            f"release {release.id} was made with settings of {name!r} that this version does not "
            f"know ({' '.join(str(error).split())[:200]}): serve it with the version that made it"
        ) from None
