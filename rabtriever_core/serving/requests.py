"""Requests to a query service: asked again while that may help, failures as our own errors."""

import asyncio
import os
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from rabtriever_core.errors import (
    ConfigError,
    FilterError,
    IndexUnavailableError,
    UnknownDocumentError,
    UnknownReleaseError,
)

if TYPE_CHECKING:
    import httpx
    from pydantic import BaseModel
    from tenacity import RetryCallState

API_KEY = "RABTRIEVER_API_KEY"
"""Environment: the key of whoever asks a query service."""

_CONNECT_SECONDS = 5.0
_LONGEST_WAIT = 10.0
# Of a service that is overloaded or has no answer now, and of proxies before one that restarts.
_AGAIN = frozenset({429, 502, 503, 504})
# Never asked through the proxy that HTTP_PROXY names.
_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")


class Asked(NamedTuple):
    """One request, and what it is answered with."""

    path: str
    kind: "type[BaseModel]"
    body: dict[str, Any] | None = None
    """Sent by POST; None for GET."""


class Requests:
    """Requests to one service, from the threads and event loops of any process."""

    def __init__(
        self, url: str, api_key: str | None, timeout_seconds: float, attempts: int
    ) -> None:
        """Asks nothing yet.

        Args:
            url: of the service.
            api_key: RABTRIEVER_API_KEY where it is None; an empty one for none.
            timeout_seconds: for an answer, with all attempts.
            attempts: how often to ask.

        Raises:
            ConfigError: the address or the key can be none.
        """
        import httpx

        self.url = _checked_url(url)
        self._seconds, self._attempts = timeout_seconds, attempts
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": {"User-Agent": "rabtriever", **_authorization(api_key)},
            "timeout": httpx.Timeout(
                timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds)
            ),
        }
        self._client: httpx.Client | None = None
        self._process = 0
        # A connection belongs to the event loop that opened it.
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._of_loops = WeakKeyDictionary()
        self._closed = False

    def close(self) -> None:
        """Close connections; those of an event loop end with it, or by `aclose`."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close connections, those of this event loop too."""
        self.close()
        client = self._of_loops.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def ask(self, asked: Asked) -> Any:
        """What a request is answered with.

        Raises:
            ConfigError: the service does not take the key.
            FilterError: it does not understand the filter.
            ValueError: another value is out of its range.
            UnknownDocumentError: it has no document of that id; likewise UnknownReleaseError.
            IndexUnavailableError: it cannot be reached, or has no answer now.
        """
        import httpx
        from tenacity import Retrying

        client = self._ready()

        def once() -> httpx.Response:
            return client.request(**_request(asked)).raise_for_status()

        try:
            return self._read(asked, Retrying(**self._patience())(once))
        except httpx.HTTPError as error:
            raise self._failure(asked, error) from error

    async def aask(self, asked: Asked) -> Any:
        """`ask` without blocking the event loop."""
        import httpx
        from tenacity import AsyncRetrying

        client = self._ready_in_loop()

        async def once() -> httpx.Response:
            return (await client.request(**_request(asked))).raise_for_status()

        try:
            return self._read(asked, await AsyncRetrying(**self._patience())(once))
        except httpx.HTTPError as error:
            raise self._failure(asked, error) from error

    def _ready(self) -> "httpx.Client":
        import httpx

        self._check_open()
        # Connections are not shared with the process before a fork.
        if self._client is None or self._process != os.getpid():
            direct = dict.fromkeys(_LOOPBACK)
            self._client, self._process = httpx.Client(**self._options, mounts=direct), os.getpid()
        return self._client

    def _ready_in_loop(self) -> "httpx.AsyncClient":
        import httpx

        self._check_open()
        loop = asyncio.get_running_loop()
        if loop not in self._of_loops:
            direct = dict.fromkeys(_LOOPBACK)
            self._of_loops[loop] = httpx.AsyncClient(**self._options, mounts=direct)
        return self._of_loops[loop]

    def _check_open(self) -> None:
        if self._closed:
            raise IndexUnavailableError("this retriever is closed: connect another one")

    def _patience(self) -> dict[str, Any]:
        import tenacity

        return {
            "retry": tenacity.retry_if_exception(_may_pass),
            "stop": tenacity.stop_after_attempt(self._attempts)
            | tenacity.stop_before_delay(self._seconds),
            "wait": _pause,
            "reraise": True,
        }

    def _read(self, asked: Asked, answer: "httpx.Response") -> Any:
        from pydantic import ValidationError

        try:
            return asked.kind.model_validate_json(answer.content)
        except ValidationError:
            raise IndexUnavailableError(
                f"{self.url}{asked.path} does not answer as a query service of this version does: "
                "check the address, and which version of rabtriever serves there"
            ) from None

    def _failure(self, asked: Asked, error: "httpx.HTTPError") -> Exception:
        """Our error for one of HTTP, in the service's words."""
        import httpx

        if not isinstance(error, httpx.HTTPStatusError):
            return IndexUnavailableError(
                f"the query service {self.url} cannot be reached ({error or type(error).__name__}):"
                " check the address, and that `rabtriever serve` runs there"
            )
        status, (said, is_filter) = error.response.status_code, _said(error.response)
        if status in (401, 403):
            return ConfigError(
                f"the query service {self.url} refuses the API key ({said}): set {API_KEY} to one "
                "that `rabtriever keys create` made there"
            )
        if status in (413, 422):
            return FilterError(said) if is_filter else ValueError(f"{self.url} refuses it: {said}")
        if status == 404 and asked.path == "/v1/rerank":
            return UnknownDocumentError(said)
        if status == 404 and asked.path.startswith("/v1/releases/"):
            return UnknownReleaseError(said)
        return IndexUnavailableError(f"the query service {self.url} answers {status}: {said}")


def _request(asked: Asked) -> dict[str, Any]:
    return {
        "method": "GET" if asked.body is None else "POST",
        "url": asked.path,
        "json": asked.body,
    }


def _may_pass(error: BaseException) -> bool:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _AGAIN
    return isinstance(error, httpx.TransportError)


def _pause(state: "RetryCallState") -> float:
    """As long as the service says, else longer each time; never all clients at once."""
    import httpx
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, httpx.HTTPStatusError):
        stated = error.response.headers.get("Retry-After", "")
        if stated.isdecimal():
            return min(float(stated), _LONGEST_WAIT)
    return wait_random_exponential(0.25, _LONGEST_WAIT)(state)


def _said(answer: "httpx.Response") -> tuple[str, bool]:
    """Why a service does not answer, and whether that is about the filter."""
    try:
        body = answer.json()
        detail = body["detail"]
    except (ValueError, KeyError, TypeError):
        where = answer.headers.get("Location")
        return f"{answer.reason_phrase}{f', see {where}' if where else ''}", False
    if isinstance(detail, str):
        request = body.get("request_id")
        return f"{detail}{f' (request {request})' if answer.status_code >= 500 else ''}", False
    faults = [(".".join(map(str, each["loc"][1:])), each["msg"]) for each in detail]
    if filters := [said for place, said in faults if place == "filter"]:
        return filters[0], True
    return "; ".join(f"{place}: {said}" for place, said in faults), False


def _checked_url(url: str) -> str:
    """An address without the slash at its end.

    Raises:
        ConfigError: it is none, or holds more than an address.
    """
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigError(f"the query service's address is malformed ({error})") from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigError(
            "the query service's address holds a user name, a password or something after its "
            f"path: a key belongs into {API_KEY}"
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(
            f"{url!r} is no address of a query service: expected one like http://localhost:8000"
        )
    return url.rstrip("/")


def _authorization(api_key: str | None) -> dict[str, str]:
    key = (os.environ.get(API_KEY, "") if api_key is None else api_key).strip()
    # Beyond these, a header carries something else than what was given.
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(
            "the API key holds a character that no key has: copy it again, in one line"
        )
    return {"Authorization": f"Bearer {key}"} if key else {}
