"""Version 1 of the interface: releases, and one query answered by two systems."""

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import Field

from rabtriever_core.releases.table import Row, rows_where
from rabtriever_core.serving.answers import Answer, Query
from rabtriever_core.serving.api import PROBLEMS, Answering, authorized, note
from rabtriever_core.serving.messages import Answered, Problem, ReleaseDetails, SearchRequest
from rabtriever_core.serving.service import Service
from rabtriever_core.serving.side_by_side import MAX_BM25_DOCUMENTS, Lexical, LexicalSearch

ReleaseId = Annotated[str, Field(pattern=r"^[0-9]{4,12}-[0-9a-f]{6}$", examples=["0001-3fa2c1"])]
SERVED: Literal["served"] = "served"
BM25: Literal["bm25"] = "bm25"

router = APIRouter(
    prefix="/v1",
    dependencies=[Depends(authorized)],
    responses=PROBLEMS | {404: {"model": Problem, "description": "No such document or release."}},
)


class CompareRequest(SearchRequest):
    """A query and the systems that answer it."""

    systems: Annotated[
        list[Literal["served", "bm25"] | ReleaseId], Field(min_length=1, max_length=2)
    ] = Field([SERVED, BM25], examples=[[SERVED, BM25]])
    """`served`, a release by its id, or `bm25` over the same documents."""


class Found(Answered):
    """One document of a ranking; fields that a system does not have are null."""

    document_id: str
    title: str
    text: str
    metadata: dict[str, Any]
    margin: float | None = None
    """The student's margin, from a release."""
    probability: float | None = None
    fits: bool | None = None
    teacher_margin: float | None = None
    teacher_probability: float | None = None
    score: float | None = None
    """BM25's score. It does not compare with margins."""


class SystemAnswer(Answered):
    """The answer of one system."""

    system: str
    """The name from the request."""
    release: str
    """The release that answered. For BM25: the release whose documents it searched."""
    reranked: bool
    milliseconds: float
    """Time in this service, including time spent waiting."""
    hits: list[Found]
    """Best first."""

    @classmethod
    def of(cls, system: str, answer: Answer | Lexical, milliseconds: float) -> "SystemAnswer":
        """The answer of the library."""
        if isinstance(answer, Lexical):
            hits = [
                Found(
                    document_id=document.id,
                    title=document.title,
                    text=document.text,
                    metadata=dict(document.metadata),
                    score=score,
                )
                for document, score in answer.hits
            ]
        else:
            names = Found.model_fields.keys() - {"score"}
            hits = [Found(**{name: getattr(hit, name) for name in names}) for hit in answer.hits]
        return cls(
            system=system,
            release=answer.release.id,
            reranked=isinstance(answer, Answer) and answer.reranked,
            milliseconds=milliseconds,
            hits=hits,
        )


class CompareAnswer(Answered):
    """Answers in the order of the systems."""

    answers: list[SystemAnswer]


class ReleaseRow(Answered):
    """A release in the list."""

    id: str
    number: int
    """The first part of the id."""
    state: str
    """served, was served, refused, candidate, or retired (its models are gone)."""
    created: datetime
    documents: int
    """Documents in its collection."""
    quality: dict[str, float]
    """Split → the student's MRR@10."""

    @classmethod
    def of(cls, row: Row) -> "ReleaseRow":
        """A row of the table of releases."""
        release = row.release
        return cls(
            id=release.id,
            number=release.number,
            state=row.state,
            created=release.created,
            documents=release.count,
            quality=row.release.quality,
        )


class ReleasesAnswer(Answered):
    """All releases, newest first, and the settings that a search page needs."""

    served: str
    """Id of the served release."""
    feedback: bool
    """Whether `POST /v1/feedback` is on."""
    rerank_depth: int
    """How many documents the teacher reads for `rerank`."""
    releases: list[ReleaseRow]


@router.post("/compare", response_model=CompareAnswer)
async def compare(body: CompareRequest, request: Request, service: Answering) -> Response:
    """Answer one query with up to two systems, to compare them."""
    query, answers = body.of(body.query), []
    for system in body.systems:
        began = time.perf_counter()
        answer = await _answer(service, system, query)
        milliseconds = round(1000 * (time.perf_counter() - began), 2)
        answers.append(SystemAnswer.of(system, answer, milliseconds))
    note(request, service, answers[0].release, [body.query])
    return Response(CompareAnswer(answers=answers).model_dump_json(), media_type="application/json")


@router.get("/releases")
async def releases(service: Answering) -> ReleasesAnswer:
    """All releases with their state, date and quality."""
    served = service.retriever.release.id
    rows = await asyncio.to_thread(rows_where, service.workspace, served)
    return ReleasesAnswer(
        served=served,
        feedback=service.settings.feedback,
        rerank_depth=service.settings.rerank_depth,
        releases=[ReleaseRow.of(row) for row in reversed(rows)],
    )


@router.get("/releases/{release_id}")
async def release_details(release_id: ReleaseId, service: Answering) -> ReleaseDetails:
    """Record and calibration of a release, which clients ask for once."""
    told = await asyncio.to_thread(service.retriever.described, release_id)
    return ReleaseDetails.of(*told)


async def _answer(service: Service, system: str, query: Query) -> Answer | Lexical:
    if system == SERVED:
        return (await service.search([query]))[0]
    if system == BM25:
        return await service.job("compare", lambda: _lexical(service).search(query))
    return await service.job("compare", lambda: service.retriever.answer_as(system, [query])[0])


def _lexical(service: Service) -> LexicalSearch:
    documents = service.retriever.release.count
    if documents > MAX_BM25_DOCUMENTS:
        raise HTTPException(
            422, f"BM25 is for up to {MAX_BM25_DOCUMENTS} documents here, there are {documents}"
        )
    return service.lexical
