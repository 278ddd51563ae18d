"""Rerank as Cohere (v1, v2), Jina and vLLM have it."""

from typing import Annotated

from pydantic import Field

from rabtriever_core.data.dataset import Document
from rabtriever_core.serving.answers import Reranked
from rabtriever_core.serving.conventions.lenient import Lenient, numbered
from rabtriever_core.serving.messages import (
    MAX_CANDIDATES,
    Answered,
    CandidateText,
    CandidateTitle,
    Text,
)


class CohereDocument(Lenient):
    """A candidate as an object."""

    text: CandidateText
    title: CandidateTitle = ""


class CohereRerankRequest(Lenient):
    """Candidates for a query, as Cohere, Jina and vLLM are asked."""

    query: Text
    documents: Annotated[
        list[CandidateText | CohereDocument], Field(min_length=1, max_length=MAX_CANDIDATES)
    ]
    """Texts, or objects with `text` (and `title`)."""
    model: str | None = None
    """Any name: the served teacher answers."""
    top_n: Annotated[int, Field(ge=0)] | None = None
    """How many results to return; all by default, and with 0."""
    return_documents: bool | None = None
    """Whether every result repeats its document."""

    @property
    def candidates(self) -> list[Document]:
        """What the teacher reads."""
        return [
            numbered(i, each) if isinstance(each, str) else numbered(i, each.text, each.title)
            for i, each in enumerate(self.documents)
        ]


class CohereText(Answered):
    """A document that is repeated."""

    text: str


class CohereResult(Answered):
    """One candidate."""

    index: int
    """Its place in the request, from 0."""
    relevance_score: float
    """The probability that it is right, calibrated on the dev split."""
    document: CohereText | None = None
    """Where `return_documents` is true."""


class CohereRerankAnswer(Answered):
    """The candidates in the teacher's order, best first."""

    id: str
    """The request's id, as in `X-Request-ID`."""
    model: str
    """Id of the release whose teacher read them."""
    results: list[CohereResult]

    @classmethod
    def of(
        cls, asked: CohereRerankRequest, ranked: Reranked, request_id: str
    ) -> "CohereRerankAnswer":
        """The answer of the client."""
        results = [
            CohereResult(
                index=int(document.id),
                relevance_score=probability,
                document=CohereText(text=document.text) if asked.return_documents else None,
            )
            for (document, _), probability in zip(ranked.results, ranked.probabilities, strict=True)
        ]
        return cls(id=request_id, model=ranked.release.id, results=results[: asked.top_n or None])
