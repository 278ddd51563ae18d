"""What the query service is asked and what it answers: API version 1."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.hit import Hit
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release
from rabtriever_core.serving.answers import Answer, Embedded, Query, Reranked

MAX_QUERY_CHARACTERS = 20_000
MAX_HITS = 1000
MAX_QUERIES = 256
MAX_CANDIDATES = 200


def _has_text(text: str) -> str:
    # The pattern's white space lacks a few characters that Python strips.
    if not text.strip():
        raise ValueError("a query must have text")
    return text


Text = Annotated[
    str,
    Field(min_length=1, max_length=MAX_QUERY_CHARACTERS, pattern=r"\S"),
    AfterValidator(_has_text),
]
DocumentId = Annotated[str, Field(min_length=1, max_length=2000)]
CandidateText = Annotated[str, Field(max_length=100_000)]
CandidateTitle = Annotated[str, Field(max_length=10_000)]

_SITUATION = "I snapped at my sister and I'm so ashamed."


class Asked(BaseModel):
    """Base of all requests: what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Options(Asked):
    """Options of a search."""

    k: Annotated[int, Field(ge=1, le=MAX_HITS)] = 5
    """Number of documents to return."""
    filter: dict[str, Any] | None = Field(None, examples=[{"lang": "de", "year": {"gte": 2020}}])
    """Conditions on the documents' metadata, all of which must hold."""
    min_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """A hit fits from this probability on; the fitted threshold when not given."""
    rerank: bool | Literal["auto"] = False
    """Let the teacher reorder the first documents; "auto": only where the student is unsure."""

    def of(self, text: str) -> Query:
        """The query of a text with these options."""
        return Query(text, self.k, self.filter, self.min_probability, self.rerank)


class SearchRequest(Options):
    """One query."""

    query: Text = Field(examples=[_SITUATION])
    """The text of the query."""


class BatchRequest(Options):
    """Several queries, answered by one release."""

    queries: Annotated[list[Text], Field(min_length=1, max_length=MAX_QUERIES)] = Field(
        examples=[[_SITUATION, "There is juice all over the floor."]]
    )


class EmbedRequest(Asked):
    """Queries to encode."""

    queries: Annotated[list[Text], Field(min_length=1, max_length=MAX_QUERIES)] = Field(
        examples=[[_SITUATION]]
    )


class Candidate(Asked):
    """A document for the teacher to read; it need not be in the collection."""

    id: DocumentId
    text: CandidateText
    title: CandidateTitle = ""

    @property
    def document(self) -> Document:
        """What the teacher reads."""
        return Document(self.id, self.text, self.title)


class RerankRequest(Asked):
    """Candidates for a query: either `document_ids` or `documents`."""

    query: Text = Field(examples=[_SITUATION])
    document_ids: (
        Annotated[list[DocumentId], Field(min_length=1, max_length=MAX_CANDIDATES)] | None
    ) = None
    """Documents of the served collection, by id."""
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
    """Any documents, with their text."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "RerankRequest":
        if (self.document_ids is None) == (self.documents is None):
            raise ValueError("give either document_ids or documents")
        return self

    @property
    def candidates(self) -> list[Document | str]:
        """Ids, or what the teacher reads."""
        return [*(self.document_ids or ()), *(each.document for each in self.documents or ())]


class Answered(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class SearchAnswer(Answered):
    """Ranked documents from one release."""

    release: str
    """Id of the release that answered."""
    reranked: bool
    """Whether the teacher reordered the first documents."""
    hits: list[Hit]
    """Best first. `k` documents come back even when none of them fits."""

    @classmethod
    def of(cls, answer: Answer) -> "SearchAnswer":
        """The answer of the client."""
        return cls(release=answer.release.id, reranked=answer.reranked, hits=answer.hits)


class BatchAnswer(Answered):
    """Answers in the order of the queries, all from one release."""

    release: str
    """Id of the release that answered."""
    answers: list[SearchAnswer]


class EmbedAnswer(Answered):
    """Query vectors for the collection of one release: margin = score · scale + offset."""

    release: str
    """Id of the release whose models made the vectors."""
    collection: str
    """The collection to search. Vectors of other collections have other coordinates."""
    vectors: list[list[float]]
    """One vector per query."""
    scales: list[float]
    """One factor per query."""
    offsets: list[float]
    """One summand per query."""

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
    """The teacher's score of a candidate."""

    document_id: str
    margin: float
    """The teacher's margin: the logit of *true* minus the logit of *false*."""
    probability: float
    """That it is right, calibrated on the dev split."""
    title: str | None = None
    """Of a document that was given by its id."""
    text: str | None = None
    """Of a document that was given by its id."""


class RerankAnswer(Answered):
    """The candidates in the teacher's order, best first."""

    release: str
    """Id of the release whose teacher read them."""
    results: list[Judged]

    @classmethod
    def of(cls, ranked: Reranked, *, by_id: bool) -> "RerankAnswer":
        """The answer of the client; with texts where documents were given by id."""
        judged = zip(ranked.results, ranked.probabilities, strict=True)
        results = [
            Judged(
                document_id=document.id,
                margin=margin,
                probability=probability,
                title=document.title if by_id else None,
                text=document.text if by_id else None,
            )
            for (document, margin), probability in judged
        ]
        return cls(release=ranked.release.id, results=results)


class ReleaseAnswer(Answered):
    """The release that answers."""

    id: str
    number: int
    """The first part of the id."""
    dataset: str
    """Name of the data set."""
    fingerprint: str
    """Hash of the validated data set."""
    collection: str
    """Name of the Qdrant collection."""
    documents: int
    """Documents in the collection."""
    commit: str | None
    """Git commit of the workspace, if it is a repository."""
    created: datetime
    metrics: dict[str, dict[str, dict[str, float]]]
    """Split → system → metric → value."""

    @classmethod
    def of(cls, release: Release) -> "ReleaseAnswer":
        """What a record says of it, without its parts and settings."""
        values = {name: getattr(release, name) for name in cls.model_fields if name != "documents"}
        return cls(documents=release.count, **values)


class ReleaseDetails(Answered):
    """What answers of a release belong to, as the Python client knows it."""

    record: Release
    """Its record; without settings and names of people, which are empty."""
    calibration: Calibration
    """How margins become probabilities, and which of them fit."""

    @classmethod
    def of(cls, record: Release, calibration: Calibration) -> "ReleaseDetails":
        """What may be told to whoever asks."""
        kept: dict[str, Any] = {"settings": {}, "created_by": "", "override": None}
        return cls(record=record.model_copy(update=kept), calibration=calibration)


class ExamplesAnswer(Answered):
    """Queries to try."""

    queries: list[str]
    """Of the setting `serving.page.examples`, or of the dev split and answered rightly."""


class Problem(Answered):
    """Why there is no answer."""

    detail: str
    """The reason."""
    request_id: str
    """The same id is in the service's log."""


class Fault(Answered):
    """One error in a request. The value itself is not repeated: it may be long, or private."""

    loc: list[str | int]
    """Path to the value."""
    msg: str
    """What is wrong with it."""
    type: str
    """A short name of the error."""


class Invalid(Answered):
    """Why a request was not understood."""

    detail: list[Fault]
    """All errors."""
    request_id: str
    """The same id is in the service's log."""
