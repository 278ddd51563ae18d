"""Version 1 of the query service's interface."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Discriminator, Tag

from rabtriever_core.serving.conventions.cohere import CohereRerankAnswer, CohereRerankRequest
from rabtriever_core.serving.messages import (
    Answered,
    BatchAnswer,
    BatchRequest,
    EmbedAnswer,
    EmbedRequest,
    ExamplesAnswer,
    Invalid,
    Problem,
    ReleaseAnswer,
    RerankAnswer,
    RerankRequest,
    SearchAnswer,
    SearchRequest,
)
from rabtriever_core.serving.service import Service

PROBLEMS: dict[int | str, dict[str, object]] = {
    400: {"model": Problem, "description": "The body is not JSON."},
    401: {"model": Problem, "description": "No valid API key."},
    413: {"description": "The body is too large."},
    415: {"model": Problem, "description": "The body has a Content-Encoding."},
    422: {"model": Invalid, "description": "A value is missing, unknown or out of range."},
    429: {
        "model": Problem,
        "description": "Too many queries wait. Retry-After says when to retry.",
    },
    503: {"model": Problem, "description": "No answer now. Retry-After says when to retry."},
}

_bearer = HTTPBearer(auto_error=False, description="An API key of `rabtriever keys create`.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key.")


async def service_of(request: Request) -> Service:
    """The service of this application; not in a thread of its own, which would cost more."""
    service: Service = request.app.state.service
    return service


Answering = Annotated[Service, Depends(service_of)]


async def authorized(
    request: Request,
    service: Answering,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    header: Annotated[str | None, Security(_header)] = None,
) -> None:
    """Refuse a request without a valid key, where keys are in use.

    Raises:
        HTTPException: 401.
    """
    if not service.keys.required:
        return
    given = bearer.credentials if bearer is not None else header
    owner = service.keys.owner(given) if given else None
    if owner is None:
        raise HTTPException(401, "no valid API key", {"WWW-Authenticate": "Bearer"})
    request.state.log["key"] = owner


router = APIRouter(prefix="/v1", dependencies=[Depends(authorized)], responses=PROBLEMS)


@router.post("/search", response_model=SearchAnswer)
async def search(body: SearchRequest, request: Request, service: Answering) -> Response:
    """The documents that answer a query best."""
    (answer,) = await service.search([body.of(body.query)])
    note(request, service, answer.release.id, [body.query])
    return as_json(SearchAnswer.of(answer))


@router.post("/search/batch", response_model=BatchAnswer)
async def search_batch(body: BatchRequest, request: Request, service: Answering) -> Response:
    """The same for several queries, all answered by one release."""
    answers = await service.search([body.of(text) for text in body.queries])
    release = answers[0].release.id
    note(request, service, release, body.queries)
    return as_json(BatchAnswer(release=release, answers=[SearchAnswer.of(a) for a in answers]))


UNKNOWN: dict[int | str, dict[str, object]] = {
    404: {"model": Problem, "description": "No such document or release."}
}


OWN: Final = "own shape"
COHERE: Final = "shape of Cohere"


def _shape(body: Any) -> str:
    """Which of the two a rerank request is: other services' clients name a model, and no ids."""
    said = body if isinstance(body, dict) else {}
    documents = said.get("documents")
    listed = documents if isinstance(documents, list) else []
    with_ids = any(isinstance(each, dict) and "id" in each for each in listed)
    own = "document_ids" in said or ("model" not in said and (with_ids or not listed))
    return OWN if own else COHERE


RerankBody = Annotated[
    Annotated[RerankRequest, Tag(OWN)] | Annotated[CohereRerankRequest, Tag(COHERE)],
    Discriminator(_shape),
]


@router.post("/rerank", response_model=RerankAnswer | CohereRerankAnswer, responses=UNKNOWN)
async def rerank(body: RerankBody, request: Request, service: Answering) -> Response:
    """Rank candidates with the teacher, which reads each of them together with the query.

    Requests in the shape of Cohere, Jina and vLLM (documents without ids, or with a `model`) are
    answered in theirs.
    """
    ranked = await service.rerank(body.query, body.candidates)
    note(request, service, ranked.release.id, [body.query])
    if isinstance(body, RerankRequest):
        return as_json(RerankAnswer.of(ranked, by_id=bool(body.document_ids)))
    return as_json(CohereRerankAnswer.of(body, ranked, request.state.request_id))


@router.post("/embed", response_model=EmbedAnswer)
async def embed(body: EmbedRequest, request: Request, service: Answering) -> Response:
    """Query vectors for any Qdrant client, in any language."""
    embedded = await service.embed(body.queries)
    note(request, service, embedded.release.id, body.queries)
    return as_json(EmbedAnswer.of(embedded))


@router.get("/release")
async def release(service: Answering) -> ReleaseAnswer:
    """The release that answers."""
    return ReleaseAnswer.of(service.retriever.release)


@router.get("/examples")
async def examples(service: Answering) -> ExamplesAnswer:
    """Queries to try, as the search page shows them."""
    return ExamplesAnswer(queries=await service.examples())


def note(request: Request, service: Service, release_id: str, texts: list[str]) -> None:
    """What the log says of a request beside its route: never a text, unless that is wanted."""
    request.state.log |= {"release": release_id, "queries": len(texts)}
    if service.settings.log_queries:
        request.state.log["texts"] = texts


def as_json(answer: Answered) -> Response:
    """An answer, as quickly as it can be said."""
    # Made by these very models: validating it again would take as long as the search.
    return Response(answer.model_dump_json(), media_type="application/json")
