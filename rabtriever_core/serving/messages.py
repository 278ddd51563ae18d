"""What the query service is asked and what it answers: API version 1."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rabtriever_core.index.search import Hit
from rabtriever_core.releases.record import Release

MAX_QUERY_CHARACTERS = 20_000
MAX_HITS = 1000


class SearchRequest(BaseModel):
    """One query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARACTERS, pattern=r"\S")]
    k: Annotated[int, Field(ge=1, le=MAX_HITS)] = 5
    """Documents."""
    min_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least calibrated probability of a hit that fits; the fitted one when not given."""


class SearchAnswer(BaseModel):
    """Ranked documents, all from one release."""

    release: str
    """Id of the release that answers."""
    hits: list[Hit]
    """Best first."""


class ReleaseAnswer(BaseModel):
    """The release that is served."""

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
