"""The web's small customs: HEAD, slashes, a proxy's path, Accept, gzip, clients that are gone."""

import gzip
import json
import logging
import socket
import time
import urllib.parse
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rabtriever_core.config import Settings
from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.app import create_app
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make
from tests.core.serving.listening import listening

QUERY = {"query": "tell 7", "k": 3}
PAGES = ("/", "/docs", "/healthz", "/metrics", "/page/page.css", "/docs/swagger-ui.css", "/v1/x")


@pytest.fixture
def served(make: Make) -> Workspace:
    workspace = make()
    promote(workspace, by="ana")
    return workspace


def test_head_says_what_get_says_without_a_body(served: Workspace) -> None:
    with TestClient(create_app(served)) as client:
        for path in (*PAGES, "/readyz", "/v1/release", "/v1/releases", "/openapi.json"):
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            if path != "/metrics":  # counts its own requests
                assert head.headers.get("content-length") == got.headers.get("content-length")
            assert head.headers["content-type"] == got.headers["content-type"]
        assert client.head("/v1/search").status_code == client.get("/v1/search").status_code == 405


def test_head_of_a_service_that_is_not_ready(tmp_path: Path) -> None:
    with TestClient(create_app(Workspace(tmp_path, Settings()))) as client:
        ready = client.head("/readyz")
        assert (ready.status_code, ready.content) == (503, b"")
        assert int(ready.headers["retry-after"]) > 0


def test_a_slash_at_the_end_changes_nothing_and_nothing_is_redirected(served: Workspace) -> None:
    with TestClient(create_app(served), follow_redirects=False) as client:
        for path in ("/healthz", "/readyz", "/v1/release", "/page/page.css"):
            assert client.get(f"{path}/").content == client.get(path).content
        plain = client.post("/v1/search", json=QUERY)
        assert client.post("/v1/search/", json=QUERY).json() == plain.json()
        assert client.get("/nowhere/").status_code == 404
        # Its links are relative.
        moved = client.get("/docs/")
        assert (moved.status_code, moved.headers["location"]) == (307, "../docs")


@pytest.mark.parametrize("passed_on", ["/team/search", ""], ids=["passed on", "taken off"])
def test_behind_a_proxy_that_shows_it_below_a_path(served: Workspace, passed_on: str) -> None:
    app = create_app(served, root_path="/team/search")
    with TestClient(app, follow_redirects=False) as client:
        assert client.get(f"{passed_on}/healthz").json() == {"status": "ok"}
        assert client.head(f"{passed_on}/readyz/").status_code == 200
        hits = client.post(f"{passed_on}/v1/search", json=QUERY).json()["hits"]
        assert hits[0]["document_id"] == "d7"
        page = client.get(f"{passed_on}/")
        assert "page/page.js" in page.text
        assert client.get(f"{passed_on}/page/page.js").status_code == 200
        described = client.get(f"{passed_on}/openapi.json").json()
        assert described["servers"] == [{"url": "/team/search"}]
        if passed_on:
            for path in (passed_on, f"{passed_on}/docs/"):
                moved = client.get(path)
                target = urllib.parse.urljoin(path, moved.headers["location"])
                assert moved.status_code == 307
                assert target in (f"{passed_on}/", f"{passed_on}/docs")


@pytest.mark.parametrize(
    "accept", ["text/html", "text/plain", "image/*", "*/*;q=0", "nonsense", ""]
)
def test_whatever_is_accepted_the_answer_is_json(served: Workspace, accept: str) -> None:
    with TestClient(create_app(served)) as client:
        answer = client.post("/v1/search", json=QUERY, headers={"accept": accept})
        assert answer.json()["hits"][0]["document_id"] == "d7"
        for path in ("/v1/release", "/healthz", "/v1/nowhere"):
            found = client.get(path, headers={"accept": accept})
            assert found.headers["content-type"] == "application/json"
        page = client.get("/", headers={"accept": accept})
        assert page.headers["content-type"].startswith("text/html")


def test_long_answers_are_zipped_for_those_who_can_read_it(served: Workspace) -> None:
    asked = QUERY | {"k": 20}
    with listening(create_app(served)) as url:
        import requests

        plain = requests.post(
            f"{url}/v1/search", json=asked, headers={"Accept-Encoding": "identity"}, timeout=10
        )
        zipped = requests.post(
            f"{url}/v1/search",
            json=asked,
            headers={"Accept-Encoding": "gzip"},
            timeout=10,
            stream=True,
        )
        assert "content-encoding" not in plain.headers
        assert zipped.headers["content-encoding"] == "gzip"
        raw = zipped.raw.read(decode_content=False)
        assert len(raw) < len(plain.content) / 2
        assert json.loads(gzip.decompress(raw)) == plain.json()
        assert "accept-encoding" in zipped.headers["vary"].lower()


def test_a_zipped_body_is_refused_in_words(served: Workspace) -> None:
    body = gzip.compress(json.dumps(QUERY).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    with TestClient(create_app(served)) as client:
        answer = client.post("/v1/search", content=body, headers=headers)
        assert answer.status_code == 415
        assert "without a Content-Encoding" in answer.json()["detail"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_client_that_is_gone_leaves_no_trace_and_others_are_answered(
    served: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(QUERY).encode()
    head = b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with caplog.at_level(logging.INFO), listening(create_app(served)) as url:
        address = urllib.parse.urlsplit(url)
        assert address.hostname and address.port
        # In the head, in the body, after it, and with a part of a chunk.
        for sent in (head, whole[:-5], whole, head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
            with socket.create_connection((address.hostname, address.port)) as gone:
                gone.sendall(sent)
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        time.sleep(0.5)
        import requests

        answer = requests.post(f"{url}/v1/search", json=QUERY, timeout=10)
        assert answer.json()["hits"][0]["document_id"] == "d7"
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert not any(record.exc_info for record in caplog.records)
