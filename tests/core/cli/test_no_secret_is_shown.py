"""A secret in every setting and variable that takes one, everything broken: it is found nowhere."""

import http.server
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from rabtriever_core.automation.webhook import notice, tell
from rabtriever_core.cli import app
from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.errors import VersioningError
from rabtriever_core.index import retry
from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.app import create_app
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make

PLANTED = "Pl4nted-Secret"
VARIABLES = (
    "QDRANT_API_KEY",
    "RABTRIEVER_INDEX__API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "DAGSTER_POSTGRES_URL",
)
COMMANDS = (
    ("query", "tell 7"),
    ("query", "tell 7", "--json"),
    ("explain", "tell 7", "d7"),
    ("eval", "{root}/data/demo"),
    ("status",),
    ("run", "qdrant_collection", "--force"),
    ("releases", "list"),
    ("releases", "show", "1"),
    ("releases", "show", "1", "--json"),
    ("releases", "promote"),
    ("releases", "rollback"),
    ("releases", "restore"),
    ("releases", "prune"),
    ("keys", "list"),
    ("--debug", "releases", "list"),
)


@contextmanager
def qdrant_that_repeats(status: int) -> Iterator[str]:
    """A server that puts the key it is given into every answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            said = f"the key {self.headers['api-key']} is wrong"
            body = json.dumps({"status": {"error": said}, "result": None, "time": 0}).encode()
            self.send_response(status, said)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def planted(make: Make, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a release, its settings full of secrets, as the environment is."""
    monkeypatch.setattr(retry, "_BACKOFF", lambda _: 0.0)
    for name in VARIABLES:
        monkeypatch.setenv(name, f"{PLANTED}-{name}\n")
    monkeypatch.setenv("RABTRIEVER_AUTOMATION__WEBHOOK_URL", f"http://127.0.0.1:9/{PLANTED}\n")
    workspace = make()
    promote(workspace, by="ana")
    values = {
        "index": {"probe_queries": 2, "query_tower": "torch", "api_key": f"{PLANTED}-file"},
        "automation": {
            "webhook_url": f"http://127.0.0.1:9/{PLANTED}-file",
            "webhook_attempts": 1,
        },
    }
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(values))
    return workspace


def _search(workspace: Workspace, *said: str) -> None:
    for text in said:
        assert PLANTED not in text, text[max(0, text.index(PLANTED) - 200) :][:400]
    for path in workspace.root.rglob("*"):
        if path.is_file() and path.name != "params.yaml":
            assert PLANTED.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503, None], ids=str)
def test_whatever_qdrant_says(
    status: int | None,
    planted: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = []
    ours = caplog.at_level(logging.INFO, logger="rabtriever_core")  # as on the command line
    with ours, qdrant_that_repeats(status or 200) as url:
        monkeypatch.setenv("QDRANT_URL", f"{url}\n" if status else "http://127.0.0.1:9")
        for command in COMMANDS:
            arguments = [each.format(root=planted.root) for each in command]
            done = CliRunner().invoke(app, [*arguments, "-w", str(planted.root)])
            said.append(done.output)
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                assert status == 400 or command[0] == "--debug", done.exception
        opened = Workspace.open(planted.root)
        with TestClient(create_app(opened), raise_server_exceptions=False) as client:
            for path in ("/readyz", "/v1/release", "/metrics", "/openapi.json"):
                said.append(client.get(path).text)
            said.append(client.post("/v1/search", json={"query": "tell 7"}).text)
        told = notice(
            opened.settings, event="run failed", workspace="w", job="j", run_id="r", asset=None,
            reason=f"401 for {PLANTED}-QDRANT_API_KEY", release=None,
        )  # fmt: skip
        said.append(told.model_dump_json())
        tell(opened.settings.model_copy(), told)
    formatter = logging.Formatter()
    if status != 400:  # a fault of ours, whose trace holds what the server said
        said += [formatter.format(record) for record in caplog.records]
    _search(planted, *said)


def test_what_dvc_says(planted: Workspace) -> None:
    address = f"http://me:{PLANTED}@127.0.0.1:9/store"
    with pytest.raises(VersioningError) as found:
        run_dvc(planted.root, "get-url", address, "here")
    assert PLANTED not in str(found.value)
    assert "127.0.0.1:9/store" in str(found.value)


def test_records_of_releases_hold_none(planted: Workspace) -> None:
    text = "".join(path.read_text() for path in (planted.root / "releases").glob("*.json*"))
    assert "webhook_attempts" in text
    assert PLANTED not in text
    assert not re.search("api_key|webhook_url", text)


def test_dvc_gets_credentials_without_their_line_ends(
    planted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    def run(*_: Any, env: dict[str, str], **__: Any) -> Any:
        seen.update(env)
        return type("Finished", (), {"returncode": 0, "stdout": "", "stderr": ""})

    monkeypatch.setattr("rabtriever_core.dvc.recording.subprocess.run", run)
    run_dvc(planted.root, "push")
    assert seen["AWS_SECRET_ACCESS_KEY"] == f"{PLANTED}-AWS_SECRET_ACCESS_KEY"
    assert os.environ["AWS_SECRET_ACCESS_KEY"].endswith("\n")
