"""Retries of Qdrant requests that failed for a passing reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential

Result = TypeVar("Result")

# Overload, restarts and time-outs of a server or of the proxy before it.
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_BACKOFF = wait_exponential(multiplier=0.2, max=10)
_LONGEST_WAIT = 60.0
_attempts: ContextVar[int] = ContextVar("attempts", default=5)


@contextmanager
def patience(attempts: int) -> Iterator[None]:
    """Within, a request is given up after so many attempts: somebody waits for its answer."""
    token = _attempts.set(attempts)
    try:
        yield
    finally:
        _attempts.reset(token)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    import httpx
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, httpx.TransportError)
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _TRANSIENT_STATUS
    return isinstance(error, ResourceExhaustedResponse)


def with_retry(request: Callable[[], Result], attempts: int | None = None) -> Result:
    """Send an idempotent request; transient failures are retried with exponential back-off.

    Args:
        request: what to send.
        attempts: before giving up; 5, or what `patience` says, when not given.

    Raises:
        Exception: the last failure, unchanged.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(attempts or _attempts.get()),
        wait=_wait,
        reraise=True,
    )
    return retrying(request)


def _wait(state: RetryCallState) -> float:
    """Back off exponentially, or for as long as the server asks."""
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ResourceExhaustedResponse):
        return min(float(error.retry_after_s), _LONGEST_WAIT)
    return _BACKOFF(state)
