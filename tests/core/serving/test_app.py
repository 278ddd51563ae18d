"""The query service: the served release's answers, others after a promotion, 503 without Qdrant."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rabtriever_core.config import IndexConfig, Settings
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.serving.app import create_app
from rabtriever_core.workspace import Workspace
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.faults.injection import free_port, qdrant


def test_answers_are_those_of_the_library(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    with TestClient(create_app(workspace)) as client:
        for k, least in ((3, None), (30, 0.9)):
            asked = {"query": "tell 7", "k": k, "min_probability": least}
            answer = client.post("/v1/search", json=asked).json()
            expected = ask(workspace, "tell 7", k, least).hits
            hits = [asdict(hit) for hit in expected]
            assert answer == {"release": release.id, "reranked": False, "hits": hits}
        assert len(client.post("/v1/search", json={"query": "tell 7"}).json()["hits"]) == 5
        said = client.get("/v1/release").json()
        assert (said["id"], said["documents"]) == (release.id, release.count)
        assert said["metrics"]["test"]["student"]["MRR@10"] == 1.0
        assert client.get("/readyz").json() == {"status": "ready", "release": release.id}
        assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": " \n"},
        {"query": "x" * 20_001},
        {"query": 7},
        {"query": "tell 7", "k": 0},
        {"query": "tell 7", "k": 1001},
        {"query": "tell 7", "min_probability": 1.5},
        {"query": "tell 7", "limit": 5},
        {"query": "tell 7", "rerank": "always"},
        {"query": "tell 7", "filter": {"lang": {"like": "d%"}}},
        {"query": "tell 7", "filter": {"a'b": 1}},
    ],
)
def test_what_is_no_query_is_refused_without_repeating_it(
    body: dict[str, object], tmp_path: Path
) -> None:
    client = TestClient(create_app(Workspace(tmp_path, Settings())))
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 422
    assert len(answer.content) < 600
    assert set(answer.json()["detail"][0]) == {"loc", "msg", "type"}


@pytest.mark.parametrize("content", [b'{"query": "\\ud800"}', b"\xff", b"[", b'{"k": NaN}'])
def test_bytes_that_are_no_text_are_refused(content: bytes, tmp_path: Path) -> None:
    client = TestClient(create_app(Workspace(tmp_path, Settings())))
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/search", content=content, headers=headers)
    assert answer.status_code in (400, 422)


def test_a_promotion_and_a_rollback_while_queries_run(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release
    expected = {first.id: _known(workspace)}
    seen: list[tuple[str, tuple[tuple[str, float], ...]]] = []
    stop = threading.Event()
    with TestClient(create_app(workspace)) as client:

        def query() -> None:
            while not stop.is_set():
                answer = client.post("/v1/search", json={"query": "tell 12", "k": 4})
                assert answer.status_code == 200, answer.text
                hits = answer.json()["hits"]
                ranked = tuple((hit["document_id"], hit["margin"]) for hit in hits)
                seen.append((answer.json()["release"], ranked))

        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(query) for _ in range(3)]
            try:
                second = promote(make(salt=1), by="ana").release
                expected[second.id] = _known(workspace)
                _wait_for(lambda: second.id in {release for release, _ in seen})
                rollback(workspace, by="ana")
                _wait_for(lambda: client.get("/v1/release").json()["id"] == first.id)
            finally:
                stop.set()
            for each in running:
                each.result()
    assert first.id != second.id
    assert {release for release, _ in seen} == {first.id, second.id}
    for release, ranked in seen:
        assert ranked == expected[release]


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "never got so far"
        time.sleep(0.01)


def _known(workspace: Workspace) -> tuple[tuple[str, float], ...]:
    return tuple((hit.document_id, hit.margin) for hit in ask(workspace, "tell 12", 4).hits)


def test_without_qdrant_it_says_so_and_recovers(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = make()
    away = Workspace(workspace.root, Settings(index={"url": "http://127.0.0.1:9"}))
    with TestClient(create_app(away)) as client, caplog.at_level(logging.WARNING):
        answer = client.post("/v1/search", json={"query": "tell 7"})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["detail"] == "the index cannot be reached now"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    assert "Qdrant at http://127.0.0.1:9 cannot be reached" in caplog.text

    with TestClient(create_app(workspace)) as client:
        nothing = client.post("/v1/search", json={"query": "tell 7"})
        assert (nothing.status_code, nothing.json()["detail"]) == (503, "no release is served now")
        promote(workspace, by="ana")
        _wait_for(lambda: client.post("/v1/search", json={"query": "tell 7"}).status_code == 200)


def test_a_server_that_stops_and_starts_again(make: Make, tmp_path: Path) -> None:
    """503 with Retry-After while Qdrant is away; then answers, without a new start."""
    built = make()
    release = promote(built, by="ana").release
    storage, port = tmp_path / "storage", free_port()
    shutil.copytree(built.qdrant, storage)
    (storage / ".rabtriever.lock").unlink()
    index = IndexConfig(url=f"http://127.0.0.1:{port}", probe_queries=2)
    workspace = Workspace(built.root, built.settings.model_copy(update={"index": index}))

    def answer(client: TestClient) -> Any:
        return client.post("/v1/search", json={"query": "tell 9", "k": 3})

    server = ExitStack()
    server.enter_context(qdrant(storage, port))
    with server, TestClient(create_app(workspace)) as client:
        found = answer(client).json()
        assert (found["release"], found["hits"][0]["document_id"]) == (release.id, "d9")
        server.close()  # SIGKILL
        _wait_for(lambda: answer(client).status_code == 503)
        for _ in range(5):
            away = answer(client)
            assert (away.status_code, int(away.headers["retry-after"])) == (503, 5)
        assert client.get("/healthz").status_code == 200
        with qdrant(storage, port):
            _wait_for(lambda: answer(client).status_code == 200)
            assert answer(client).json() == found
