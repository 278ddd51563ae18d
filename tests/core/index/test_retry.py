"""Retries: which failures, how often, how long between."""

import time
from collections.abc import Callable

import httpx
import pytest
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from rabtriever_core.index.retry import with_retry


def _status(code: int) -> UnexpectedResponse:
    return UnexpectedResponse(code, "", b"", httpx.Headers())


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def _failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def request() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return request


def test_transient_failures_are_retried_with_back_off(waits: list[float]) -> None:
    errors = (_status(503), ResponseHandlingException(httpx.ConnectError("refused")), _status(429))
    assert with_retry(_failing(*errors)) == "done"
    assert waits == pytest.approx([0.2, 0.4, 0.8])


def test_the_server_may_ask_for_time(waits: list[float]) -> None:
    assert with_retry(_failing(ResourceExhaustedResponse("slow down", 7))) == "done"
    assert waits == [7.0]


def test_other_failures_are_raised_at_once(waits: list[float]) -> None:
    for error in (_status(400), ResponseHandlingException(ValueError("bad")), KeyError("x")):
        with pytest.raises(type(error)):
            with_retry(_failing(error))
    assert waits == []


def test_the_last_failure_is_raised(waits: list[float]) -> None:
    with pytest.raises(UnexpectedResponse):
        with_retry(_failing(*[_status(503)] * 9), attempts=3)
    assert len(waits) == 2
