"""Why a document is where it is for a query: margins and rankings of both models, what was cut."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.hit import Hit
from rabtriever_core.index.lookup import stored_documents
from rabtriever_core.index.search import search

if TYPE_CHECKING:
    from rabtriever_core.models.probability import Calibration
    from rabtriever_core.models.prompt import Prompt
    from rabtriever_core.serving.retriever import Retriever

SEARCHED = 1000
"""Places of the student's ranking that are looked at."""
# Beyond any text: what is not cut at it is whole.
_UNLIMITED = 10**9


@dataclass(frozen=True)
class Placed:
    """A document in one model's ranking."""

    margin: float
    """T − F logit."""
    probability: float
    """That the document is right: calibrated on dev, from this model's margin."""
    position: int | None
    """From 1; None where it is not among those that were looked at."""
    looked_at: int
    """Documents, of which the position is one."""
    best: Document
    """The first document of the ranking."""
    best_margin: float


@dataclass(frozen=True)
class Reading:
    """How much of a text the models read."""

    tokens: int
    limit: int
    """`prompt.max_query_tokens` or `max_document_tokens` of the release."""
    cut: str
    """What lies beyond: a query's start, a document's end; empty where nothing does."""


@dataclass(frozen=True)
class Explanation:
    """One document for one query, in the served release."""

    query: str
    document: Document
    release: str
    documents: int
    """Of the collection."""
    student: Placed
    """In the whole collection, compared exactly, down to place `SEARCHED`."""
    teacher: Placed
    """Among the student's first documents, and this one, which the teacher read."""
    probability: float
    """That the document is right: calibrated on dev, from the student's margin."""
    threshold: float | None
    """Least probability of an answer; None where none was fitted."""
    query_reading: Reading
    document_reading: Reading

    @property
    def fits(self) -> bool | None:
        """Whether the probability reaches the threshold; None without one."""
        return None if self.threshold is None else self.probability >= self.threshold

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "query": self.query,
            "release": self.release,
            "document": _document(self.document),
            "probability": self.probability,
            "threshold": self.threshold,
            "fits": self.fits,
            "documents": self.documents,
            "student": _placed(self.student),
            "teacher": _placed(self.teacher),
            "read": {
                "query": asdict(self.query_reading),
                "document": asdict(self.document_reading),
            },
        }


def explain(
    retriever: "Retriever", query: str, document_id: str, *, depth: int = 50
) -> Explanation:
    """What student and teacher of the served release say of a document for a query.

    Args:
        retriever: of the workspace.
        query: its text.
        document_id: a document of the collection.
        depth: first documents of the student that the teacher reads beside this one.

    Raises:
        ValueError: the query is empty, or depth is below 1.
        UnknownDocumentError: the collection has no such document.
        IndexUnavailableError: as for `Retriever.search`, and IndexMismatchError and ReleaseError.
    """
    if not query.strip():
        raise ValueError("a query must have text")
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    with retriever.held() as (opened, client):
        collection = opened.release.collection
        stored_documents(client, collection, [document_id])
        encoded = opened.encoder.encode([query])
        # As no setting of the index may make it: every document is compared with.
        (hits,) = search(client, collection, encoded, max(SEARCHED, depth))
        only = {"document_id": document_id}
        ((own,),) = search(client, collection, encoded, 1, filters=only)
        document = own.document
        beside = [hit.document for hit in hits[:depth] if hit.document_id != document_id]
        candidates = [document, *beside]
        judged = opened.teacher_margins(query, candidates)
        prompt = opened.reranker.backbone.prompt
    calibration = opened.calibration
    return Explanation(
        query=query,
        document=document,
        release=opened.release.id,
        documents=opened.release.count,
        student=_by_student(own, hits[:SEARCHED], calibration),
        teacher=_by_teacher(candidates, judged, calibration),
        probability=float(calibration.probabilities(own.margin)),
        threshold=calibration.threshold,
        query_reading=query_reading(prompt, query),
        document_reading=document_reading(prompt, document),
    )


def query_reading(prompt: "Prompt", query: str) -> Reading:
    """What of a query is read: its end."""
    limit, spec = prompt.spec.max_query_tokens, prompt.spec
    frame = len(spec.query_prefix), len(prompt.query_side.tail)
    ids = _text(_whole(prompt).queries([query])[0], *frame)
    return Reading(len(ids), limit, _words(prompt, ids[: max(0, len(ids) - limit)]))


def document_reading(prompt: "Prompt", document: Document) -> Reading:
    """What of a document is read, title and text: its beginning."""
    limit, spec = prompt.spec.max_document_tokens, prompt.spec
    tail = prompt.document_tail(cut=False)
    frame = len(spec.start) + len(spec.document_prefix), len(tail)
    ids = _text(_whole(prompt).documents([document])[0], *frame)
    return Reading(len(ids), limit, _words(prompt, ids[limit:]))


def _by_student(own: Hit, hits: Sequence[Hit], calibration: "Calibration") -> Placed:
    ids = [hit.document_id for hit in hits]
    return Placed(
        margin=own.margin,
        probability=float(calibration.probabilities(own.margin)),
        position=ids.index(own.document_id) + 1 if own.document_id in ids else None,
        looked_at=len(hits),
        best=hits[0].document,
        best_margin=hits[0].margin,
    )


def _by_teacher(
    candidates: Sequence[Document], margins: Sequence[float], calibration: "Calibration"
) -> Placed:
    """The first candidate among all of them; equal margins by id, as everywhere."""
    ranked = sorted(zip(margins, candidates, strict=True), key=lambda p: (-p[0], p[1].id))
    return Placed(
        margin=margins[0],
        probability=float(calibration.teacher_probabilities(margins[0])),
        position=[document.id for _, document in ranked].index(candidates[0].id) + 1,
        looked_at=len(ranked),
        best=ranked[0][1],
        best_margin=ranked[0][0],
    )


def _whole(prompt: "Prompt") -> "Prompt":
    """The same prompt, which cuts nothing."""
    from rabtriever_core.models.prompt import Prompt

    spec = replace(prompt.spec, max_document_tokens=_UNLIMITED, max_query_tokens=_UNLIMITED)
    return Prompt(spec, prompt.tokenizer)


def _text(ids: list[int], before: int, after: int) -> list[int]:
    """Token ids without the frame around them."""
    return ids[before : len(ids) - after]


def _words(prompt: "Prompt", ids: Sequence[int]) -> str:
    return str(prompt.tokenizer.decode(ids)).strip() if ids else ""


def _document(document: Document) -> dict[str, Any]:
    return {
        "document_id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
    }


def _placed(placed: Placed) -> dict[str, Any]:
    return {
        "margin": placed.margin,
        "probability": placed.probability,
        "position": placed.position,
        "looked_at": placed.looked_at,
        "best": _document(placed.best) | {"margin": placed.best_margin},
    }
