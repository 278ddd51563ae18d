"""Haystack: the served release as a component of a pipeline (extra `haystack`).

    from rabtriever_core.integrations.haystack import RabtrieverRetriever

    retriever = RabtrieverRetriever(workspace="my-work", top_k=3)
    documents = retriever.run("I snapped at my sister.")["documents"]

Haystack loads a saved pipeline with `allowed_modules=["rabtriever_core.integrations.haystack"]`.
"""

from typing import Any

from rabtriever_core.index.hit import Hit
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.haystack_filters import search_filter
from rabtriever_core.integrations.hits import metadata, wanted
from rabtriever_core.serving.answers import Answer, Rerank
from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.remote import RemoteRetriever
from rabtriever_core.serving.retriever import Retriever

try:
    from haystack import Document, component, default_to_dict
except ImportError as error:
    raise missing_extra("haystack", error) from error


@component
class RabtrieverRetriever:
    """Documents scored by the calibrated probability; margin, fit and release are in their meta.

    Where the teacher put documents in order, that is their order, while scores stay the student's.
    A pipeline saved as YAML keeps the workspace's folder or the service's address, and opens or
    asks it when it is run.
    """

    def __init__(
        self,
        retriever: AnyRetriever | None = None,
        *,
        workspace: str | None = None,
        url: str | None = None,
        top_k: int = 5,
        filters: dict[str, Any] | None = None,
        min_probability: float | None = None,
        rerank: Rerank = False,
        only_fitting: bool = False,
    ) -> None:
        """Opens nothing yet.

        Args:
            retriever: who answers; whoever opened it closes it.
            workspace: whose release, where no retriever is given; see `Retriever.open`.
            url: of a query service to ask instead, with the key in RABTRIEVER_API_KEY.
            top_k: documents of an answer.
            filters: Haystack's, or conditions as in `rabtriever_core.index.filters`.
            min_probability: of a document that fits, instead of the fitted threshold.
            rerank: let the teacher put the first documents in order.
            only_fitting: leave out what does not fit.
        """
        self._retriever = retriever
        self._workspace, self._url = workspace, url
        if isinstance(retriever, Retriever):
            self._workspace = str(retriever.workspace.root)
        elif isinstance(retriever, RemoteRetriever):
            self._url = retriever.url
        self.top_k, self.filters = top_k, filters
        self.min_probability, self.rerank = min_probability, rerank
        self.only_fitting = only_fitting

    def warm_up(self) -> None:
        """Open the served release, once."""
        if self._retriever is None:
            self._retriever = (
                Retriever.connect(self._url) if self._url else Retriever.open(self._workspace)
            )

    def close(self) -> None:
        """Let go of the release; the next question opens it again where a workspace was given."""
        if self._retriever is not None:
            self._retriever.close()
            self._retriever = None

    def to_dict(self) -> dict[str, Any]:
        """As a pipeline's YAML keeps it."""
        described: dict[str, Any] = default_to_dict(
            self,
            workspace=self._workspace,
            url=self._url,
            top_k=self.top_k,
            filters=self.filters,
            min_probability=self.min_probability,
            rerank=self.rerank,
            only_fitting=self.only_fitting,
        )
        return described

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, top_k: int | None = None, filters: dict[str, Any] | None = None
    ) -> dict[str, list[Document]]:
        """The documents that answer a query best.

        Args:
            query: its text.
            top_k: documents, instead of the component's.
            filters: instead of the component's.
        """
        return self._documents(self._opened().search(query, **self._options(top_k, filters)))

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, top_k: int | None = None, filters: dict[str, Any] | None = None
    ) -> dict[str, list[Document]]:
        """`run` without blocking the event loop."""
        options = self._options(top_k, filters)
        return self._documents(await self._opened().asearch(query, **options))

    def _opened(self) -> AnyRetriever:
        self.warm_up()
        assert self._retriever is not None  # noqa: S101 - for mypy
        return self._retriever

    def _options(self, top_k: int | None, filters: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "k": self.top_k if top_k is None else top_k,
            "filter": search_filter(self.filters if filters is None else filters),
            "min_probability": self.min_probability,
            "rerank": self.rerank,
        }

    def _documents(self, answer: Answer) -> dict[str, list[Document]]:
        hits = wanted(answer, only_fitting=self.only_fitting)
        return {"documents": [_document(hit, answer) for hit in hits]}


def _document(hit: Hit, answer: Answer) -> Document:
    return Document(
        id=hit.document_id,
        content=hit.text or hit.title,
        meta=metadata(hit, answer),
        score=hit.probability,
    )
