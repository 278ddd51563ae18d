"""What a retriever can be asked, whether it searches here or asks a query service."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.releases.record import Release
from rabtriever_core.serving.answers import Answer, Embedded, Query, Rerank, Reranked


class AnyRetriever(ABC):
    """Base of `Retriever`, which searches in this process, and of `RemoteRetriever`.

    Integrations take either. No answer mixes two releases.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and models. A closed retriever answers nothing."""

    @property
    @abstractmethod
    def release(self) -> Release:
        """The release that answers at the moment."""

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        filter: SearchFilter | None = None,
        min_probability: float | None = None,
        rerank: Rerank = False,
    ) -> Answer:
        """Find the k documents that answer a query best.

        Args:
            query: the text of the query.
            k: how many documents to return.
            filter: conditions on the documents' metadata, for example
                `{"lang": "de", "year": {"gte": 2020}}`.
            min_probability: a hit fits from this probability on, instead of the fitted threshold.
            rerank: let the teacher reorder the first documents; "auto" only if the student is
                unsure.

        Raises:
            ValueError: an argument is out of range.
            FilterError: the filter is not understood.
            IndexUnavailableError: Qdrant, or the query service, cannot be reached.
            IndexMismatchError: nothing is served, or the served collection is of no release.
            ReleaseError: the release is missing on this machine, or incomplete.
        """
        return self.answer([Query(query, k, filter, min_probability, rerank)])[0]

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 5,
        *,
        filter: SearchFilter | None = None,
        min_probability: float | None = None,
        rerank: Rerank = False,
    ) -> list[Answer]:
        """Search for several queries at once; one release answers all of them."""
        return self.answer([Query(text, k, filter, min_probability, rerank) for text in queries])

    async def asearch(self, query: str, k: int = 5, **options: Any) -> Answer:
        """`search` without blocking the event loop."""
        return (await self.aanswer([Query(query, k, **options)]))[0]

    async def asearch_batch(
        self, queries: Sequence[str], k: int = 5, **options: Any
    ) -> list[Answer]:
        """`search_batch` without blocking the event loop."""
        return await self.aanswer([Query(text, k, **options) for text in queries])

    @abstractmethod
    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer queries with different options, encoded together. Raises the errors of `search`.

        Raises:
            IndexUnavailableError: also if releases change faster than queries are answered.
        """

    async def aanswer(self, queries: Sequence[Query]) -> list[Answer]:
        """`answer` without blocking the event loop."""
        return await asyncio.to_thread(self.answer, queries)

    @abstractmethod
    def embed(self, queries: Sequence[str]) -> Embedded:
        """Encode queries for your own Qdrant client. Raises the errors of `search`."""

    @abstractmethod
    def rerank(self, query: str, documents: Sequence[Document | str]) -> Reranked:
        """Rank candidates with the teacher; equal ones are ordered by id.

        Args:
            query: the text of the query.
            documents: ids of documents in the collection, or any documents.

        Raises:
            UnknownDocumentError: an id is not in the collection.
            IndexUnavailableError: as for `search`; likewise IndexMismatchError and ReleaseError.
        """
