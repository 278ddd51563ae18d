"""A stand-in for the Hugging Face hub: repositories are made, files are committed to them."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Hub:
    """What it was asked, and what it holds."""

    url: str = ""
    refuses: bool = False
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


@contextmanager
def standin_hub() -> Iterator[Hub]:
    """One that listens on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.tokens.add(self.headers.get("Authorization"))
            self._answer(*_answer(hub, self.path, body))

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, value: object) -> None:
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _answer(hub: Hub, path: str, body: bytes) -> tuple[int, object]:
    if hub.refuses:
        return 401, {"error": "Invalid username or password."}
    if path == "/api/repos/create":
        asked = json.loads(body)
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        hub.private[name] = asked.get("private", asked.get("visibility") == "private")
        return 200, {"url": f"{hub.url}/{name}"}
    if path == "/api/validate-yaml":
        return 200, {"errors": [], "warnings": []}
    name, _, verb = path.removeprefix("/api/models/").rpartition("/main")[0].rpartition("/")
    if verb == "preupload":
        files = [
            {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
            for file in json.loads(body)["files"]
        ]
        return 200, {"files": files}
    if verb == "commit":
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                hub.messages.append(line["value"]["summary"])
            else:
                content = base64.b64decode(line["value"]["content"])
                hub.files.setdefault(name, {})[line["value"]["path"]] = content
        address = f"{hub.url}/{name}/commit/1"
        return 200, {"commitUrl": address, "commitOid": "1", "hookOutput": ""}
    return 404, {"error": f"the stand-in does not know {path}"}
