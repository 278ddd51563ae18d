"""What the query service is asked and what it answers: API version 1."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.search import Hit
from rabtriever_core.releases.record import Release
from rabtriever_core.serving.answers import Answer, Embedded, Query

MAX_QUERY_CHARACTERS = 20_000
MAX_HITS = 1000
MAX_QUERIES = 256
MAX_CANDIDATES = 200

Text = Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARACTERS, pattern=r"\S")]
DocumentId = Annotated[str, Field(min_length=1, max_length=2000)]

_SITUATION = "I snapped at my sister and I'm so ashamed."


class Asked(BaseModel):
    """Base of all requests: what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(Asked):
    """How a search is to be answered."""

    k: Annotated[int, Field(ge=1, le=MAX_HITS)] = 5
    """Documents."""
    filter: dict[str, Any] | None = Field(None, examples=[{"lang": "de", "year": {"gte": 2020}}])
    """Conditions on the documents' metadata, all of which must hold."""
    min_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least probability of a hit that fits; the fitted one when not given."""
    rerank: bool | Literal["auto"] = False
    """Let the teacher put the first documents in order; "auto": where the student is unsure."""

    def of(self, text: str) -> Query:
        """The query of a text with these options."""
        return Query(text, self.k, self.filter, self.min_probability, self.rerank)


class SearchRequest(Options):
    """One query."""

    query: Text = Field(examples=[_SITUATION])


class BatchRequest(Options):
    """Several queries, answered by one release."""

    queries: Annotated[list[Text], Field(min_length=1, max_length=MAX_QUERIES)] = Field(
        examples=[[_SITUATION, "There is juice all over the floor."]]
    )


class EmbedRequest(Asked):
    """Queries to be turned into vectors."""

    queries: Annotated[list[Text], Field(min_length=1, max_length=MAX_QUERIES)] = Field(
        examples=[[_SITUATION]]
    )


class Candidate(Asked):
    """A document to be judged, of the collection or not."""

    id: DocumentId
    text: Annotated[str, Field(max_length=100_000)]
    title: Annotated[str, Field(max_length=10_000)] = ""

    @property
    def document(self) -> Document:
        """What the teacher reads."""
        return Document(self.id, self.text, self.title)


class RerankRequest(Asked):
    """Candidates for a query: documents of the collection by id, or any others with their text."""

    query: Text = Field(examples=[_SITUATION])
    document_ids: (
        Annotated[list[DocumentId], Field(min_length=1, max_length=MAX_CANDIDATES)] | None
    ) = None
    documents: Annotated[list[Candidate], Field(min_length=1, max_length=MAX_CANDIDATES)] | None = (
        Field(
            None,
            examples=[
                [
                    {"id": "a", "text": "Say back what the person seems to feel."},
                    {"id": "b", "text": "Describe the next practical step."},
                ]
            ],
        )
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "RerankRequest":
        if (self.document_ids is None) == (self.documents is None):
            raise ValueError("give either document_ids or documents")
        return self


class Answered(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class SearchAnswer(Answered):
    """Ranked documents, all from one release."""

    release: str
    """Id of the release that answers."""
    reranked: bool
    """Whether the teacher put the first documents in order."""
    hits: list[Hit]
    """Best first. Nothing is held back: where no hit `fits`, they are the best of what does not."""

    @classmethod
    def of(cls, answer: Answer) -> "SearchAnswer":
        """The answer of the client."""
        return cls(release=answer.release.id, reranked=answer.reranked, hits=answer.hits)


class BatchAnswer(Answered):
    """Answers in the order of the queries, all from one release."""

    release: str
    answers: list[SearchAnswer]


class EmbedAnswer(Answered):
    """Vectors to search the release's collection with: margin = score · scale + offset."""

    release: str
    collection: str
    """Search this collection: another one has other coordinates."""
    vectors: list[list[float]]
    scales: list[float]
    offsets: list[float]

    @classmethod
    def of(cls, embedded: Embedded) -> "EmbedAnswer":
        """The vectors of the client."""
        return cls(
            release=embedded.release.id,
            collection=embedded.release.collection,
            vectors=embedded.vectors,
            scales=embedded.scales,
            offsets=embedded.offsets,
        )


class Judged(Answered):
    """What the teacher says of a candidate."""

    document_id: str
    margin: float
    """The teacher's T − F logit."""
    probability: float
    """σ(margin)."""


class RerankAnswer(Answered):
    """The candidates, best first by the teacher."""

    release: str
    results: list[Judged]


class ReleaseAnswer(Answered):
    """The release that answers."""

    id: str
    number: int
    dataset: str
    fingerprint: str
    """Of the data set it was made from."""
    collection: str
    documents: int
    commit: str | None
    created: datetime
    metrics: dict[str, dict[str, dict[str, float]]]
    """Split → system → metric → value."""

    @classmethod
    def of(cls, release: Release) -> "ReleaseAnswer":
        """What a record says of it, without its parts and settings."""
        values = {name: getattr(release, name) for name in cls.model_fields if name != "documents"}
        return cls(documents=release.count, **values)


class Problem(Answered):
    """Why there is no answer."""

    detail: str
    request_id: str
    """Also in the service's log."""


class Fault(Answered):
    """What is wrong with a request; never the value itself, which may be long, and private."""

    loc: list[str | int]
    """Where."""
    msg: str
    type: str


class Invalid(Answered):
    """Why a request is none."""

    detail: list[Fault]
    request_id: str
