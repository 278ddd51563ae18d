"""Version 1 of the interface: what users judge right or wrong, for the next retraining."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import Field, StrictBool, field_validator

from rabtriever_core.data.feedback import CONTROL_CHARACTERS, Judgement, add_feedback
from rabtriever_core.data.ids import id_problem
from rabtriever_core.errors import UnknownReleaseError
from rabtriever_core.index.lookup import stored_documents
from rabtriever_core.releases.log import now
from rabtriever_core.releases.record import read_release
from rabtriever_core.serving.api import PROBLEMS, Answering, authorized, note
from rabtriever_core.serving.messages import Answered, Asked, DocumentId, Problem, Text
from rabtriever_core.serving.service import Service
from rabtriever_core.serving.side_by_side_api import ReleaseId

MAX_COMMENT_CHARACTERS = 500

router = APIRouter(
    prefix="/v1",
    dependencies=[Depends(authorized)],
    responses=PROBLEMS
    | {
        403: {"model": Problem, "description": "Feedback is switched off (`serving.feedback`)."},
        404: {"model": Problem, "description": "No such document or release."},
    },
)


class FeedbackRequest(Asked):
    """A judgement of one document for one query."""

    query: Text = Field(examples=["I snapped at my sister and I'm so ashamed."])
    document_id: DocumentId
    """A document of the served collection."""
    relevant: StrictBool
    """Whether the document is right for the query."""
    release: ReleaseId | None = None
    """The release that gave the answer; the served one when not given."""
    comment: Annotated[str, Field(max_length=MAX_COMMENT_CHARACTERS)] = ""
    """Stored with the judgement."""

    @field_validator("query", "comment")
    @classmethod
    def _of_a_person(cls, text: str) -> str:
        if found := CONTROL_CHARACTERS.search(text):
            raise ValueError(f"it holds the control character U+{ord(found[0]):04X}")
        return text.strip()

    @field_validator("document_id")
    @classmethod
    def _of_a_data_set(cls, id_: str) -> str:
        if problem := id_problem(id_):
            raise ValueError(f"no data set can hold the id: it {problem}")
        return id_


class FeedbackAnswer(Answered):
    """The judgement as it is stored now."""

    document_id: str
    relevant: bool
    stored: bool
    """False when the same judgement was stored before."""


@router.post("/feedback")
async def feedback(body: FeedbackRequest, request: Request, service: Answering) -> FeedbackAnswer:
    """Store whether a document is right for a query. The latest judgement of a pair counts."""
    if not service.settings.feedback:
        raise HTTPException(403, "feedback is switched off here (serving.feedback)")
    longest = service.workspace.settings.validation.max_query_characters
    if len(body.query) > longest:
        raise HTTPException(422, f"a query may have {longest} characters in this data set")
    by = request.state.log.get("key")
    release, stored = await service.job("feedback", lambda: _store(service, body, by))
    note(request, service, release, [body.query])
    return FeedbackAnswer(document_id=body.document_id, relevant=body.relevant, stored=stored)


def _store(service: Service, body: FeedbackRequest, by: str | None) -> tuple[str, bool]:
    workspace = service.workspace
    if body.release is not None and read_release(workspace, body.release) is None:
        raise UnknownReleaseError(f"there is no release {body.release}")
    with service.retriever.held() as (opened, client):
        stored_documents(client, opened.release.collection, [body.document_id])
    release = body.release or opened.release.id
    judgement = Judgement(
        query=body.query,
        document_id=body.document_id,
        relevant=body.relevant,
        release=release,
        by=by,
        time=now(),
        comment=body.comment,
    )
    lock = workspace.work / "feedback.lock"
    return release, add_feedback(workspace.dataset_folder, judgement, lock)
