"""LlamaIndex: the served release as a retriever (extra `llama-index`).

    from rabtriever_core.integrations.llama_index import RabtrieverRetriever

    retriever = RabtrieverRetriever(Retriever.open("my-work"), k=3)
    nodes = retriever.retrieve("I snapped at my sister.")

Query engines read titles and the documents' own metadata beside the texts, but no figures.
"""

from typing import Any

from rabtriever_core.index.filters import SearchFilter
from rabtriever_core.index.hit import Hit
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.hits import TOLD, metadata, wanted
from rabtriever_core.serving.answers import Answer, Rerank
from rabtriever_core.serving.any_retriever import AnyRetriever

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise missing_extra("llama-index", error) from error

# A language model that answers from the nodes reads titles, and no figures.
_HIDDEN = [name for name in TOLD if name != "title"]


class RabtrieverRetriever(BaseRetriever):
    """Nodes scored by the calibrated probability; margin, fit and release are in their metadata.

    Where the teacher put documents in order, theirs is the order of the nodes, while scores stay
    the student's.
    """

    def __init__(
        self,
        retriever: AnyRetriever,
        *,
        k: int = 5,
        filter: SearchFilter | None = None,
        min_probability: float | None = None,
        rerank: Rerank = False,
        only_fitting: bool = False,
        **base: Any,
    ) -> None:
        """Ask a retriever.

        Args:
            retriever: who answers, of `Retriever.open` or `.connect`; whoever opened it closes it.
            k: nodes of an answer.
            filter: conditions on the documents' metadata (`rabtriever_core.index.filters`).
            min_probability: of a document that fits, instead of the fitted threshold.
            rerank: let the teacher put the first documents in order.
            only_fitting: leave out what does not fit.
            base: what LlamaIndex's retrievers take, e.g. `callback_manager`.
        """
        super().__init__(**base)
        self.retriever = retriever
        self.only_fitting = only_fitting
        self._options: dict[str, Any] = {
            "k": k,
            "filter": filter,
            "min_probability": min_probability,
            "rerank": rerank,
        }

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(self.retriever.search(query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(await self.retriever.asearch(query_bundle.query_str, **self._options))

    def _nodes(self, answer: Answer) -> list[NodeWithScore]:
        hits = wanted(answer, only_fitting=self.only_fitting)
        return [NodeWithScore(node=_node(hit, answer), score=hit.probability) for hit in hits]


def _node(hit: Hit, answer: Answer) -> TextNode:
    return TextNode(
        id_=hit.document_id,
        text=hit.text or hit.title,
        metadata=metadata(hit, answer),
        excluded_llm_metadata_keys=_HIDDEN,
        excluded_embed_metadata_keys=_HIDDEN,
    )
