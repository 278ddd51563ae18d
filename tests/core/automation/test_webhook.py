"""Notices reach a real server, with patience; failing ones are logged, secrets never."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tenacity import wait_none

from rabtriever_core.automation.webhook import Notice, notice, tell
from rabtriever_core.config import Settings

SECRET = "T0KEN/of-a-channel"  # noqa: S105 - a stand-in


class Receiver:
    """A server that answers as it is told, the last answer again and again."""

    def __init__(self) -> None:
        self.answers: list[int] = [200]
        self.got: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(json.loads(body))
                answers = receiver.answers
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                if status == 0:  # hang up without an answer
                    self.connection.close()
                    return
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def settings(self, **automation: Any) -> Settings:
        """Settings that tell this server."""
        url = f"http://127.0.0.1:{self.port}/{SECRET}"
        return Settings.model_validate({"automation": {"webhook_url": url, **automation}})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def message(settings: Settings, reason: str = "the disk is full") -> Notice:
    return notice(
        settings,
        event="run failed",
        workspace="demo",
        job="full_pipeline",
        run_id="ab12",
        asset="teacher",
        reason=reason,
        release=None,
    )


def test_a_notice_says_what_where_and_why(receiver: Receiver) -> None:
    settings = receiver.settings(ui_url="https://dagster.example/")
    assert tell(settings, message(settings))
    (got,) = receiver.got
    assert got["text"] == "demo: run failed in teacher: the disk is full"
    assert got["link"] == "https://dagster.example/runs/ab12"
    assert {"event", "job", "run_id", "asset", "reason", "release", "time", "workspace"} < set(got)


@pytest.mark.parametrize("first", [[503], [429, 500], [0]], ids=str)
def test_it_tries_again_where_that_can_help(receiver: Receiver, first: list[int]) -> None:
    settings = receiver.settings()
    receiver.answers = [*first, 204]
    assert tell(settings, message(settings), wait=wait_none())
    assert len(receiver.got) == len(first) + 1
    assert len({got["run_id"] for got in receiver.got}) == 1


@pytest.mark.parametrize(
    ("answer", "attempts"), [(500, 3), (404, 1), (307, 1)], ids=["broken", "gone", "redirected"]
)
def test_a_notice_that_is_not_taken_is_logged_without_the_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, answer: int, attempts: int
) -> None:
    caplog.set_level(logging.INFO)
    settings = receiver.settings(webhook_attempts=3)
    receiver.answers = [answer]
    assert not tell(settings, message(settings), wait=wait_none())
    assert len(receiver.got) == attempts
    assert f"it answered {answer}" in caplog.text
    assert "run ab12" in caplog.text
    assert "T0KEN" not in caplog.text


def test_nobody_at_home_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = f"http://127.0.0.1:9/{SECRET}"
    settings = Settings.model_validate({"automation": {"webhook_url": url, "webhook_attempts": 2}})
    assert not tell(settings, message(settings), wait=wait_none())
    assert "ConnectionError, 2 attempts" in caplog.text
    assert "T0KEN" not in caplog.text


def test_a_server_that_says_nothing_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        values = {"webhook_url": url, "webhook_attempts": 1, "webhook_timeout_seconds": 0.2}
        settings = Settings.model_validate({"automation": values})
        assert not tell(settings, message(settings))
    assert "Timeout, 1 attempt" in caplog.text


def test_without_a_webhook_nobody_is_told() -> None:
    assert not tell(Settings(), message(Settings()))


def test_secrets_are_taken_out_of_reasons(receiver: Receiver) -> None:
    settings = receiver.settings()
    settings = settings.model_copy(
        update={"index": settings.index.model_copy(update={"api_key": "k3y"})}
    )
    url = settings.automation.webhook_url
    said = message(settings, f"401 for key k3y, and {url} is down")
    assert said.reason == "401 for key …, and … is down"
    assert "k3y" not in said.text


def test_the_address_is_never_written(receiver: Receiver) -> None:
    settings = receiver.settings()
    assert "T0KEN" not in settings.model_dump_json()
    assert "T0KEN" not in repr(settings)
