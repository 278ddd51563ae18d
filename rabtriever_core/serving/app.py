"""The query service over HTTP."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from rabtriever_core import __version__
from rabtriever_core.errors import (
    ConfigError,
    DatasetError,
    DiskFullError,
    FilterError,
    IndexMismatchError,
    IndexUnavailableError,
    ReleaseError,
    UnknownDocumentError,
    UnknownReleaseError,
)
from rabtriever_core.serving import feedback_api
from rabtriever_core.serving import side_by_side_api as compare_api
from rabtriever_core.serving.api import COHERE, OWN, PROBLEMS, Answering, authorized, router
from rabtriever_core.serving.batching import OverloadedError
from rabtriever_core.serving.conventions import api as conventions_api
from rabtriever_core.serving.middleware import Customs, Observed
from rabtriever_core.serving.page_routes import add_page
from rabtriever_core.serving.service import Service
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)

SAID: dict[type[Exception], tuple[int, str, int]] = {
    IndexUnavailableError: (503, "the index cannot be reached now", 5),
    IndexMismatchError: (503, "no release is served now", 5),
    ReleaseError: (503, "the served release is not complete on this machine", 5),
    ConfigError: (503, "the service is not set up correctly: see its log", 30),
    DatasetError: (503, "the data set cannot be read: see the service's log", 30),
    DiskFullError: (503, "there is no room left to store it", 60),
    TimeoutError: (503, "too slow now: ask again later", 2),
    OverloadedError: (429, "too many queries wait: ask again later", 1),
}
"""Error → status, what a client is told, seconds until it may try again.

The log says more, with places that are none of a client's business.
"""


_ZIPPED_FROM = 1000
"""Bytes of an answer, where the client takes it zipped."""


def create_app(
    workspace: Workspace,
    root_path: str = "",
    announcement: AbstractContextManager[None] | None = None,
) -> FastAPI:
    """The application of one workspace; the served release is opened when it starts.

    Args:
        workspace: whose served release answers.
        root_path: where a proxy shows it (`/search`), whether it passes that on or not.
        announcement: says where it is, as long as it answers.
    """
    service = Service(workspace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with announcement or nullcontext():
            async with service.running():
                yield

    app = FastAPI(
        title="Rabtriever",
        version=__version__,
        summary="Documents that are right for a query although they do not look like it.",
        lifespan=lifespan,
        # `add_page` has a page of documentation that asks nobody else's network.
        docs_url=None,
        redoc_url=None,
        root_path=root_path,
        redirect_slashes=False,  # `Customs` does without a redirect
    )
    app.state.service = service
    for part in (router, conventions_api.router, compare_api.router, feedback_api.router):
        app.include_router(part)
    add_page(app, workspace.settings)
    _add_health(app)
    _add_errors(app)
    # The last one added is the outermost.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=service.settings.max_body_bytes)
    app.add_middleware(GZipMiddleware, minimum_size=_ZIPPED_FROM, compresslevel=5)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    app.add_middleware(Observed, metrics=service.metrics)
    app.add_middleware(Customs)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """The process runs. Nothing else is checked."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: PROBLEMS[503]})
    async def ready(service: Answering) -> dict[str, str]:
        """A release is open, so queries are answered."""
        return {"status": "ready", "release": service.retriever.release.id}

    open_to_all = app.state.service.settings.open_metrics
    guards = [] if open_to_all else [Depends(authorized)]

    @app.get("/metrics", dependencies=guards, response_class=Response)
    async def metrics(service: Answering) -> Response:
        """Metrics for Prometheus. Where there are keys they take one, unless open_metrics."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    def problem(
        request: Request, status: int, detail: object, headers: dict[str, str] | None = None
    ) -> JSONResponse:
        body = {"detail": detail, "request_id": request.state.request_id}
        return JSONResponse(body, status_code=status, headers=headers)

    async def not_now(request: Request, error: Exception) -> JSONResponse:
        status, said, seconds = next(SAID[kind] for kind in type(error).__mro__ if kind in SAID)
        if status != 429:  # thousands a second, and the line of the request says it all
            logger.warning(
                "%d: %s", status, error or said, extra={"request_id": request.state.request_id}
            )
        return problem(request, status, said, {"Retry-After": str(seconds)})

    async def unknown(request: Request, error: Exception) -> JSONResponse:
        return problem(request, 404, str(error))

    async def misread(request: Request, error: Exception) -> JSONResponse:
        return problem(
            request, 422, [{"loc": ["body", "filter"], "msg": str(error), "type": "filter"}]
        )

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        # Without the input, which may be long, and private.
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        shown = [{name: each[name] for name in ("loc", "msg", "type")} for each in problems]
        for each in shown:  # which shape it was taken for is no part of the path
            each["loc"] = [part for part in each["loc"] if part not in (OWN, COHERE)]
        return problem(request, 422, shown)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        headers = dict(error.headers) if error.headers else None
        return problem(request, error.status_code, error.detail, headers)

    for kind in SAID:
        app.add_exception_handler(kind, not_now)
    app.add_exception_handler(UnknownDocumentError, unknown)
    app.add_exception_handler(UnknownReleaseError, unknown)
    app.add_exception_handler(FilterError, misread)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
