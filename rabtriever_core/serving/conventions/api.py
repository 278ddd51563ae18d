"""Their routes. `/v1/rerank` answers Cohere's first version beside our own (serving/api.py)."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter

from rabtriever_core.serving.api import PROBLEMS, Answering, as_json, authorized, note
from rabtriever_core.serving.conventions.cohere import CohereRerankAnswer, CohereRerankRequest
from rabtriever_core.serving.conventions.openai import (
    OpenAIEmbeddingAnswer,
    OpenAIEmbeddingRequest,
)
from rabtriever_core.serving.conventions.tei import TeiEmbedRequest, TeiRank, TeiRerankRequest

router = APIRouter(dependencies=[Depends(authorized)], responses=PROBLEMS)

_RANKS = TypeAdapter(list[TeiRank])
_VECTORS = TypeAdapter(list[list[float]])


@router.post("/v2/rerank", response_model=CohereRerankAnswer)
async def cohere_rerank(
    body: CohereRerankRequest, request: Request, service: Answering
) -> Response:
    """Cohere's rerank, version 2; `/v1/rerank` takes the same, as Jina and vLLM have it."""
    ranked = await service.rerank(body.query, body.candidates)
    note(request, service, ranked.release.id, [body.query])
    return as_json(CohereRerankAnswer.of(body, ranked, request.state.request_id))


@router.post("/rerank", response_model=list[TeiRank])
async def tei_rerank(body: TeiRerankRequest, request: Request, service: Answering) -> Response:
    """Rerank of Text Embeddings Inference."""
    ranked = await service.rerank(body.query, body.candidates)
    note(request, service, ranked.release.id, [body.query])
    said = _RANKS.dump_json(TeiRank.all_of(body, ranked), exclude_none=True)
    return Response(said, media_type="application/json")


@router.post("/embed", response_model=list[list[float]])
async def tei_embed(body: TeiEmbedRequest, request: Request, service: Answering) -> Response:
    """Query vectors, as Text Embeddings Inference has it."""
    embedded = await service.embed(body.texts)
    note(request, service, embedded.release.id, body.texts)
    said = _VECTORS.dump_json(body.vectors(embedded))
    return Response(said, media_type="application/json")


@router.post("/v1/embeddings", response_model=OpenAIEmbeddingAnswer)
async def openai_embeddings(
    body: OpenAIEmbeddingRequest, request: Request, service: Answering
) -> Response:
    """Query vectors, as OpenAI has it."""
    embedded = await service.embed(body.texts)
    note(request, service, embedded.release.id, body.texts)
    dimension = embedded.release.dimension
    if body.dimensions not in (None, dimension):
        said = f"the vectors have {dimension} dimensions: leave it out, or say {dimension}"
        where = ("body", "dimensions")
        raise RequestValidationError([{"loc": where, "msg": said, "type": "dimensions"}])
    return as_json(OpenAIEmbeddingAnswer.of(body, embedded))
