"""Rerank and embeddings as Hugging Face's Text Embeddings Inference has them."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from rabtriever_core.data.dataset import Document
from rabtriever_core.serving.answers import Embedded, Reranked
from rabtriever_core.serving.conventions.lenient import Lenient, Texts, listed, numbered
from rabtriever_core.serving.messages import MAX_CANDIDATES, Answered, CandidateText, Text


class TeiRerankRequest(Lenient):
    """Candidates for a query, as Text Embeddings Inference is asked."""

    query: Text
    texts: Annotated[list[CandidateText], Field(min_length=1, max_length=MAX_CANDIDATES)]
    raw_scores: bool = False
    """Score by the teacher's margin instead of the probability."""
    return_text: bool = False
    """Whether every result repeats its text."""
    truncate: bool | None = None
    """Changes nothing: long texts are always cut, where the release's settings say."""

    @property
    def candidates(self) -> list[Document]:
        """What the teacher reads."""
        return [numbered(i, text) for i, text in enumerate(self.texts)]


class TeiRank(Answered):
    """One candidate."""

    index: int
    """Its place in the request, from 0."""
    score: float
    """The calibrated probability that it is right; with `raw_scores` the margin."""
    text: str | None = None
    """Where `return_text` is true."""

    @classmethod
    def all_of(cls, asked: TeiRerankRequest, ranked: Reranked) -> "list[TeiRank]":
        """The answer of the client, best first."""
        return [
            cls(
                index=int(document.id),
                score=margin if asked.raw_scores else probability,
                text=document.text if asked.return_text else None,
            )
            for (document, margin), probability in zip(
                ranked.results, ranked.probabilities, strict=True
            )
        ]


class TeiEmbedRequest(Lenient):
    """Queries to encode, as Text Embeddings Inference is asked."""

    inputs: Texts
    """A query, or several."""
    normalize: bool = True
    """Make every vector's length 1. That changes no ranking."""
    prompt_name: Literal["query"] | None = None
    """Queries alone can be encoded."""
    truncate: bool | None = None
    """Changes nothing: long texts are always cut, where the release's settings say."""

    @property
    def texts(self) -> list[str]:
        """The queries."""
        return listed(self.inputs)

    def vectors(self, embedded: Embedded) -> list[list[float]]:
        """The answer of the client."""
        if not self.normalize:
            return embedded.vectors
        made = np.asarray(embedded.vectors, np.float32)
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        scaled: list[list[float]] = (made / np.where(lengths > 0, lengths, 1)).tolist()
        return scaled
