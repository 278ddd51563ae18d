"""Embeddings as OpenAI has them."""

import base64
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from rabtriever_core.serving.answers import Embedded
from rabtriever_core.serving.conventions.lenient import Lenient, Texts, listed
from rabtriever_core.serving.messages import Answered

QUERY_MODEL = "rabtriever-query"
"""The one model of `/v1/embeddings`. Its name has to be said, since clients embed documents by the
same request, and documents are read otherwise."""


def _the_query_model(value: Any) -> Any:
    if value != QUERY_MODEL:
        raise ValueError(
            f"the one model here is {QUERY_MODEL!r}, which reads queries; the vectors of documents "
            "are in the collection of the release"
        )
    return value


class OpenAIEmbeddingRequest(Lenient):
    """Queries to encode, as OpenAI is asked."""

    input: Texts
    """A query, or several; as text, not as token ids."""
    model: Annotated[Literal["rabtriever-query"], BeforeValidator(_the_query_model)]
    """Queries alone can be encoded, and the name says so."""
    encoding_format: Literal["float", "base64"] = "float"
    """base64: of little-endian float32."""
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """Refused unless it is what the collection's vectors have."""

    @property
    def texts(self) -> list[str]:
        """The queries."""
        return listed(self.input)


class OpenAIEmbedding(Answered):
    """One query's vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    """The query's place in the request, from 0."""
    embedding: list[float] | str
    """Numbers, or their bytes in base64."""


class OpenAIUsage(Answered):
    """Nothing is billed: zeros, for clients that want the field."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class OpenAIEmbeddingAnswer(Answered):
    """Query vectors for the collection of one release."""

    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    """One vector per query."""
    model: Literal["rabtriever-query"] = "rabtriever-query"
    usage: OpenAIUsage = OpenAIUsage()
    release: str
    """Id of the release whose models made the vectors."""
    collection: str
    """The collection to search. Vectors of other collections have other coordinates."""

    @classmethod
    def of(cls, asked: OpenAIEmbeddingRequest, embedded: Embedded) -> "OpenAIEmbeddingAnswer":
        """The answer of the client."""
        data = [
            OpenAIEmbedding(
                index=i,
                embedding=vector if asked.encoding_format == "float" else _base64(vector),
            )
            for i, vector in enumerate(embedded.vectors)
        ]
        return cls(data=data, release=embedded.release.id, collection=embedded.release.collection)


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
