"""Around every request: an id, a line in the log, a count, and small customs of the web."""

import logging
import re
import time
import uuid
from typing import Any

from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rabtriever_core.serving.metrics import Metrics

logger = logging.getLogger("rabtriever_core.serving.access")

# Anything else could forge lines of a log, or fill it.
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# Not worth a line each: they are asked all the time.
_QUIET = {"/healthz", "/readyz", "/metrics"}


class Customs:
    """HEAD is GET without the body, and a slash at the end of a path changes nothing.

    Pages alone are redirected, since their links are relative; and so is where to, since a service
    behind a proxy does not know its own address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, root = str(scope["path"]), str(scope.get("root_path", ""))
        pages = {
            root: f"{root.rpartition('/')[2]}/",
            f"{root}/docs/": "../docs",
            "/docs/": "../docs",
        }
        if path in pages:
            await RedirectResponse(pages[path])(scope, receive, send)
            return
        # A copy: the server needs to know what was really asked.
        asked = {**scope, "path": path.rstrip("/") or "/"}
        if asked["path"] == root:
            asked["path"] = f"{root}/"
        if scope["method"] == "HEAD":
            asked["method"] = "GET"
            await self._app(asked, receive, _without_body(send))
        else:
            await self._app(asked, receive, send)


def _without_body(send: Send) -> Send:
    async def head_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return head_only


class Observed:
    """Gives every request an id (its own X-Request-ID where that is a decent one) and measures it.

    Where a handler fails unexpectedly, the client gets the id and the log the trace.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        id_ = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"], state["log"] = id_, {}
        status = 500
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", id_.encode())]
            await send(message)

        try:
            if headers.get(b"content-encoding", b"identity").lower() != b"identity":
                said = {"detail": "send the body as it is, without a Content-Encoding"}
                await JSONResponse(said | {"request_id": id_}, 415)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception:
            logger.exception("a request failed", extra={"request_id": id_})
            failed = {"detail": "internal error", "request_id": id_}
            await JSONResponse(failed, status_code=500)(scope, receive, answer)
        finally:
            self._note(scope, id_, status, time.perf_counter() - began, state["log"])

    def _note(
        self, scope: Scope, id_: str, status: int, seconds: float, more: dict[str, Any]
    ) -> None:
        # A path that leads nowhere is anybody's text.
        route = getattr(scope.get("route"), "path", None) or "none"
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route not in _QUIET:
            said = {"route": route, "status": status, "ms": round(1000 * seconds, 2)}
            logger.info("request", extra={"request_id": id_, **said, **more})
