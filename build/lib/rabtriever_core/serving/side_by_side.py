"""The same query answered by other systems: another release, or BM25 over the same documents."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import IndexUnavailableError
from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.index.lookup import PAGE, all_documents
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.releases.record import Release
from rabtriever_core.serving.answers import Query
from rabtriever_core.serving.retriever import Retriever

MAX_BM25_DOCUMENTS = 200_000
"""They are all read into memory."""

_SWAPS = 5


@dataclass(frozen=True)
class Lexical:
    """What BM25 finds: documents that share a word with the query, and their scores, best first."""

    hits: list[tuple[Document, float]]
    release: Release
    """Whose documents they are."""


class LexicalSearch:
    """BM25 over the served collection's documents, indexed when first asked for, once per release.

    Thread-safe.
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._turn = threading.Lock()
        self._index: tuple[Release, Bm25, Sequence[Document]] | None = None

    def search(self, query: Query) -> Lexical:
        """The k best documents that pass the query's filter; equal ones by id.

        Raises:
            RabtrieverError: as `Retriever.search`.
        """
        with self._turn:
            for _ in range(_SWAPS):
                release, bm25, documents = self._indexed()
                allowed = None
                if query.filter is not None:
                    now, passing = self._documents(query.filter)
                    if now.id != release.id:
                        continue
                    allowed = {document.id for document in passing}
                scores = bm25.scores([query.text])[0]
                found = [
                    (document, float(score))
                    for document, score in zip(documents, scores, strict=True)
                    if score > 0 and (allowed is None or document.id in allowed)
                ]
                best = sorted(found, key=lambda pair: (-pair[1], pair[0].id))
                return Lexical(best[: query.k], release)
        raise IndexUnavailableError("releases changed while BM25 was asked: ask again")

    def _indexed(self) -> tuple[Release, Bm25, Sequence[Document]]:
        if self._index is None or self._index[0].id != self._retriever.release.id:
            self._index = None  # before the next one takes its room
            release, documents = self._documents(None)
            language = release.settings["dataset"].get("language", "auto")
            self._index = release, Bm25.fit(documents, language), documents
        return self._index

    def _documents(self, conditions: SearchFilter | None) -> tuple[Release, list[Document]]:
        """What is served, in pages: between two of them others are answered."""
        with self._retriever.held() as (opened, client):
            release = opened.release
        documents: list[Document] = []
        rest = all_documents(client, release.collection, conditions)
        while True:
            with self._retriever.held():
                page = list(islice(rest, PAGE))
            documents += page
            if len(page) < PAGE:
                return release, documents
