"""LangChain: the served release as a retriever (extra `langchain`).

    from rabtriever_core.integrations.langchain import RabtrieverRetriever

    retriever = RabtrieverRetriever(retriever=Retriever.open("my-work"), k=3)
    # or, of a query service: retriever=Retriever.connect("http://localhost:8000")
    documents = retriever.invoke("I snapped at my sister.")

An option of the search can be said anew: `retriever.invoke(query, k=10)`.
"""

from typing import Any

from rabtriever_core.index.hit import Hit
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.hits import metadata, wanted
from rabtriever_core.serving.answers import Answer, Rerank
from rabtriever_core.serving.any_retriever import AnyRetriever

try:
    from langchain_core.callbacks.manager import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise missing_extra("langchain", error) from error


class RabtrieverRetriever(BaseRetriever):
    """Documents whose metadata hold margin, probability, whether they fit, and the release."""

    retriever: AnyRetriever
    """Who answers: of `Retriever.open` or `.connect`; whoever opened it closes it."""
    k: int = 5
    """Documents of an answer."""
    filter: Any = None
    """Conditions on the documents' metadata (`rabtriever_core.index.filters`)."""
    min_probability: float | None = None
    """Of a document that fits, instead of the fitted threshold."""
    rerank: Rerank = False
    """Let the teacher put the first documents in order."""
    only_fitting: bool = False
    """Leave out what does not fit: a question that nothing answers gets no documents."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._documents(self.retriever.search(query, **self._options(options)))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._documents(await self.retriever.asearch(query, **self._options(options)))

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """What `search` is asked with; `invoke` may say `k=…` and others anew."""
        own = {name: getattr(self, name) for name in ("k", "filter", "min_probability", "rerank")}
        return own | given

    def _documents(self, answer: Answer) -> list[Document]:
        hits = wanted(answer, only_fitting=self.only_fitting)
        return [_document(hit, answer) for hit in hits]


def _document(hit: Hit, answer: Answer) -> Document:
    return Document(
        id=hit.document_id, page_content=hit.text or hit.title, metadata=metadata(hit, answer)
    )
