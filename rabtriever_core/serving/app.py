"""The query service over HTTP: search, release, health."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from rabtriever_core import __version__
from rabtriever_core.errors import IndexMismatchError, IndexUnavailableError, ReleaseError
from rabtriever_core.serving.messages import ReleaseAnswer, SearchAnswer, SearchRequest
from rabtriever_core.serving.service import QueryService
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
UNAVAILABLE: dict[type[Exception], str] = {
    IndexUnavailableError: "the index cannot be reached now",
    IndexMismatchError: "no release is served now",
    ReleaseError: "the served release is not complete on this machine",
}
"""Error → what a client is told; the log says more, with places that are none of its business."""


def create_app(workspace: Workspace) -> FastAPI:
    """The application of one workspace; the served release is opened when it starts."""
    service = QueryService(workspace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            release = await run_in_threadpool(service.ready)
            logger.info("serving release %s of %r", release.id, workspace.alias)
        except tuple(UNAVAILABLE) as error:
            logger.warning("not ready yet: %s", error)
        yield

    app = FastAPI(
        title="Rabtriever",
        version=__version__,
        summary="Documents that are right for a query although they do not look like it.",
        lifespan=lifespan,
    )

    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        logger.warning("503: %s", error)
        return JSONResponse(
            {"detail": UNAVAILABLE[type(error)]},
            status_code=503,
            headers={"Retry-After": str(RETRY_SECONDS)},
        )

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        # Without the input, which may be long, and private.
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        shown = [{name: problem[name] for name in ("loc", "msg", "type")} for problem in problems]
        return JSONResponse({"detail": shown}, status_code=422)

    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, unavailable)
    app.add_exception_handler(RequestValidationError, invalid)

    @app.post("/v1/search")
    def search(request: SearchRequest) -> SearchAnswer:
        """The documents that answer a query best."""
        release, hits = service.search(request.query, request.k, request.min_probability)
        return SearchAnswer(release=release.id, hits=hits)

    @app.get("/v1/release")
    def release() -> ReleaseAnswer:
        """The release that is served."""
        return ReleaseAnswer.of(service.release())

    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """The process runs; nothing else is asked."""
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        """A query would be answered."""
        return {"status": "ready", "release": service.ready().id}

    return app
