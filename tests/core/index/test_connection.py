"""Connections: locks, servers that are away or refuse, damaged folders."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rabtriever_core.config import IndexConfig
from rabtriever_core.errors import ConfigError, IndexUnavailableError
from rabtriever_core.index.connection import connect, open_server
from tests.core.workspace.test_access import NOBODY, as_nobody

HOLDER = """
import sys, time
from pathlib import Path
from rabtriever_core.config import IndexConfig
from rabtriever_core.index.connection import connect, open_server
from tests.core.workspace.test_access import NOBODY, as_nobody
with connect(IndexConfig(), Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def _other_process(folder: Path, seconds: float) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield
    finally:
        process.kill()
        process.communicate()


def test_local_folder_is_created_and_reopened(config: IndexConfig, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "qdrant"
    for _ in range(3):
        with connect(config, folder) as client:
            assert client.get_collections().collections == []


def test_locked_folder_names_it(config: IndexConfig, tmp_path: Path) -> None:
    with (
        _other_process(tmp_path, 60),
        pytest.raises(IndexUnavailableError, match=r"locked: another process.*serve") as caught,
        connect(config, tmp_path, lock_seconds=0.2),
    ):
        pass
    assert str(tmp_path) in str(caught.value)
    with connect(config, tmp_path):  # a killed process leaves no lock behind
        pass


def test_waits_for_a_process_that_is_about_to_end(config: IndexConfig, tmp_path: Path) -> None:
    with _other_process(tmp_path, 0.5), connect(config, tmp_path):
        pass


def test_folder_opened_without_connect(config: IndexConfig, tmp_path: Path) -> None:
    foreign = QdrantClient(path=str(tmp_path))
    try:
        with pytest.raises(IndexUnavailableError, match="locked"), connect(config, tmp_path):
            pass
    finally:
        foreign.close()


def test_failure_inside_closes_the_folder(config: IndexConfig, tmp_path: Path) -> None:
    with pytest.raises(KeyError), connect(config, tmp_path):
        raise KeyError("ours")
    with connect(config, tmp_path, lock_seconds=0.1):
        pass


def test_damaged_folder(config: IndexConfig, tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("{")
    with (
        pytest.raises(IndexUnavailableError, match=r"damaged.*delete it"),
        connect(config, tmp_path),
    ):
        pass


def test_unreachable_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    message = rf"Qdrant at {url} cannot be reached \(.+\): start it or unset QDRANT_URL"
    started = time.monotonic()
    with (
        pytest.raises(IndexUnavailableError, match=message),
        connect(IndexConfig(url=url), tmp_path),
    ):
        pass
    assert 1 < time.monotonic() - started < 10  # it did try again, and not for ever


@pytest.mark.parametrize(("status", "message"), [(401, "refuses the API key"), (501, "fails .501")])
def test_refusing_server(tmp_path: Path, status: int, message: str) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Refuse."""
            self.send_error(status)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = IndexConfig(url=f"http://127.0.0.1:{server.server_port}", api_key="s3cret")
    try:
        with (
            warnings.catch_warnings(),
            pytest.raises(IndexUnavailableError, match=message) as caught,
        ):
            warnings.simplefilter("ignore")  # a key over plain http
            with connect(config, tmp_path):
                pass
    finally:
        server.shutdown()
        server.server_close()
    assert "s3cret" not in str(caught.value)


@contextmanager
def _answering(status: int, body: bytes, seen: list[str]) -> Iterator[int]:
    """The port of a server that says the same to everyone; `seen` is what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            seen.append(f"{self.path} {self.headers['api-key']}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[1]"), (200, b""), (301, b""), (404, b"<html>"), (405, b"no")],
    ids=str,
)
def test_what_is_not_qdrant_is_called_so(tmp_path: Path, status: int, body: bytes) -> None:
    with _answering(status, body, []) as port:
        config = IndexConfig(url=f"http://127.0.0.1:{port}", api_key="s3cret-key")
        with (
            pytest.raises(IndexUnavailableError, match=rf":{port} is not Qdrant .*port.*path"),
            connect(config, tmp_path),
        ):
            pass


INFO = b'{"title": "qdrant", "version": "1.19.0"}'


@pytest.mark.parametrize("path", ["", "/", "/qdrant", "/qdrant/", "/a/b"])
def test_path_and_key_are_sent_as_they_were_written(tmp_path: Path, path: str) -> None:
    seen: list[str] = []
    with _answering(200, INFO, seen) as port:
        config = IndexConfig(url=f" http://127.0.0.1:{port}{path}\n", api_key="s3cret-key\n")
        with connect(config, tmp_path):
            pass
    assert seen == [f"{path.rstrip('/')}/ s3cret-key"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://host", "http://host/"),
        ("https://host", "https://host/"),
        ("https://host:6333", "https://host:6333/"),
        ("https://host/qdrant", "https://host/qdrant/"),
        ("http://[::1]:7000/x", "http://[::1]:7000/x/"),
    ],
)
def test_a_port_is_asked_only_where_one_was_written(url: str, asked: str) -> None:
    client = open_server(IndexConfig(url=url), url)
    rest = client._client.rest_uri  # type: ignore[attr-defined]
    client.close()
    assert rest.rstrip("/") + "/" == asked


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_the_port_that_was_asked_is_said(tmp_path: Path, scheme: str, port: int) -> None:
    url = f"{scheme}://127.0.0.1"
    with (
        pytest.raises(IndexUnavailableError, match=rf"127\.0\.0\.1:{port} .*6333"),
        connect(IndexConfig(url=url), tmp_path),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_of_somebody_else(config: IndexConfig, tmp_path: Path) -> None:
    folder = tmp_path / "qdrant"
    with connect(config, folder):
        pass
    for each in (tmp_path, *tmp_path.parents[:-1]):
        each.chmod(each.stat().st_mode | 0o055)

    def opened() -> str:
        with connect(config, folder):
            return "opened"

    said = as_nobody(opened)
    assert "IndexUnavailableError: the Qdrant folder" in said
    assert f"cannot be written by user {NOBODY}" in said
    assert "QDRANT_URL" in said


def test_malformed_url(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="ftp://host"),
        connect(IndexConfig(url="ftp://host"), tmp_path),
    ):
        pass


def test_size_warning_is_silent(
    config: IndexConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qdrant_client.local.local_collection import LocalCollection
    from qdrant_client.local.qdrant_local import QdrantLocal
    from qdrant_client.models import (
        Distance,
        PointStruct,
        QueryRequest,
        SearchParams,
        VectorParams,
    )

    monkeypatch.setattr(LocalCollection, "LARGE_DATA_THRESHOLD", 1)
    monkeypatch.setattr(QdrantLocal, "LARGE_DATA_THRESHOLD", 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            with connect(config, tmp_path) as client:
                if not client.collection_exists("c"):
                    client.create_collection("c", VectorParams(size=1, distance=Distance.DOT))
                client.upsert("c", [PointStruct(id=i, vector=[1.0]) for i in range(3)])
                request = QueryRequest(query=[1.0], params=SearchParams(exact=True))
                client.query_batch_points("c", [request])
    assert [w for w in caught if "Local mode" in str(w.message)] == []
