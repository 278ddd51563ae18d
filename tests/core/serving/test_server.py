"""`rabtriever serve` as a process of its own."""

import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.server import Listening, _Lines
from tests.core.releases.conftest import Make

# The stand-in student, in that process too.
PROGRAM = """
import sys, types
from tests.core.releases.life import Student
fake = types.ModuleType("rabtriever_core.models.student")
fake.Student = Student
sys.modules[fake.__name__] = fake
from rabtriever_core.cli import main
main()
"""
ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(root: Path, port: int, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PROGRAM, "serve", "--port", str(port), "-w", str(root)]
    command += options
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(port: int, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    """Status and answer; waits for the process to listen."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", content, {"content-type": "application/json"}
    )
    for _ in range(300):
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


def wait_for_release(port: int, release: str, body: object) -> dict[str, object]:
    """The first answer of a release."""
    for _ in range(100):
        status, answer = asked(port, "/v1/search", body)
        if status == 200 and answer["release"] == release:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"release {release} never answers: {status} {answer}")


def test_a_process_answers_follows_promotions_and_ends_when_told(make: Make) -> None:
    workspace = make()
    params = workspace.root / "params.yaml"
    params.write_text(yaml.safe_dump({"index": {"probe_queries": 2}}))
    port = free_port()
    with serving(workspace.root, port) as process:
        assert asked(port, "/healthz") == (200, {"status": "ok"})
        assert asked(port, "/readyz")[0] == 503
        body = {"query": "tell 7", "k": 2}
        for salt in (0, 1):
            release = promote(make(salt=salt), by="ana").release
            answer = wait_for_release(port, release.id, body)
            assert answer["hits"][0]["document_id"] == "d7"
        announcement = workspace.work / "service.json"
        said_where = json.loads(announcement.read_text())
        assert said_where == {"url": f"http://127.0.0.1:{port}", "pid": process.pid}
        second = subprocess.run(
            [sys.executable, "-m", "rabtriever_core.cli", "serve", "--port", str(port),
             "-w", str(workspace.root)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert second.returncode == 2
        assert second.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {port}")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    assert not announcement.exists()
    assert "Finished server process" in said
    assert "tell 7" not in said
    assert process.returncode in (0, -signal.SIGTERM)


def test_https(make: Make, tmp_path: Path) -> None:
    workspace = make()
    (workspace.root / "params.yaml").write_text(yaml.safe_dump({"index": {"probe_queries": 2}}))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    options = ["--tls-certificate", str(certificate), "--tls-key"]
    with serving(workspace.root, port, *options, str(key)):
        trusted = ssl.create_default_context(cafile=certificate)
        address = f"https://127.0.0.1:{port}/healthz"
        for _ in range(300):
            try:
                with urllib.request.urlopen(address, context=trusted) as a:
                    assert json.load(a) == {"status": "ok"}
                    break
            except urllib.error.URLError as error:
                assert "refused" in str(error), error
                time.sleep(0.1)
    with serving(workspace.root, port, *options, str(certificate)) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "TLS files" in said


def said_by(root: Path, *options: str) -> tuple[int, list[str]]:
    """Port and lines of a service that is asked once and told to stop."""
    port = free_port()
    with serving(root, port, *options) as process:
        assert asked(port, "/v1/search/", {"query": "tell 7"})[0] == 503
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    return port, said.splitlines()


def test_the_log_is_json_and_says_the_address(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("{}")
    port, lines = said_by(tmp_path)
    rows = [json.loads(line) for line in lines]
    assert not any("\x1b" in line or "\\u001b" in line for line in lines)
    assert any(f"http://127.0.0.1:{port}/" in row["message"] for row in rows)
    (request,) = [row for row in rows if row["message"] == "request"]
    assert (request["route"], request["status"]) == ("/v1/search", 503)
    assert not any("color_message" in row for row in rows)


def test_the_log_for_people_says_as_much(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("{}")
    port, lines = said_by(tmp_path, "--text-log")
    assert any(f"answering at http://127.0.0.1:{port}/" in line for line in lines)
    (request,) = [line for line in lines if "INFO request" in line]
    assert "route=/v1/search status=503 ms=" in request
    assert "request_id=" in request
    assert not any("\x1b" in line or "color_message" in line for line in lines)


def test_no_text_forges_a_line_of_the_log() -> None:
    record = logging.makeLogRecord(
        {"msg": "request", "levelname": "INFO", "texts": ["a\nb=1"], "key": "x\n2026 INFO forged"}
    )
    line = _Lines().format(record)
    assert "\n" not in line
    assert r'key="x\n2026 INFO forged"' in line


@pytest.mark.parametrize(
    ("host", "tls", "address"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:8000/"),
        ("::1", None, "http://[::1]:8000/"),
        ("search.example", Path("c.pem"), "https://search.example:8000/"),
    ],
)
def test_the_address_is_one_to_open(host: str, tls: Path | None, address: str) -> None:
    assert Listening(host, 8000, tls).address == address
