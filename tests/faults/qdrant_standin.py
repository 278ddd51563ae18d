"""Qdrant's REST interface over local mode, in a process of its own that can be killed.

`python tests/faults/qdrant_standin.py FOLDER PORT [--die CALL:NUMBER:before|after]`

It is no Qdrant server: it stands where one would, so that a client meets refused connections,
requests without an answer, and a server that comes back with what it had stored. With `--die` it
kills itself with SIGKILL at the n-th such call, before or after it was carried out.
"""

import argparse
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.models import CountRequest, PointsList, QueryRequestBatch, ScrollRequest

Call = Callable[[QdrantClient, str, Any], Any]

CALLS: dict[tuple[str, str], tuple[str, Call]] = {
    ("GET", r"/"): ("info", lambda *_: None),
    ("GET", r"/collections"): ("list", lambda client, *_: client.get_collections()),
    ("GET", r"/aliases"): ("aliases", lambda client, *_: client.get_aliases()),
    ("POST", r"/collections/aliases"): ("switch", lambda client, _, body: _switch(client, body)),
    ("GET", r"/collections/([^/]+)"): ("get", lambda client, name, _: client.get_collection(name)),
    ("PUT", r"/collections/([^/]+)"): ("create", lambda *arguments: _create(*arguments)),
    ("PATCH", r"/collections/([^/]+)"): (
        "update",
        lambda client, name, body: client.update_collection(name, metadata=body["metadata"]),
    ),
    ("DELETE", r"/collections/([^/]+)"): (
        "delete",
        lambda client, name, _: client.delete_collection(name),
    ),
    ("GET", r"/collections/([^/]+)/exists"): (
        "exists",
        lambda client, name, _: {"exists": client.collection_exists(name)},
    ),
    ("GET", r"/collections/([^/]+)/aliases"): (
        "own aliases",
        lambda client, name, _: client.get_collection_aliases(name),
    ),
    ("PUT", r"/collections/([^/]+)/points"): (
        "upsert",
        lambda client, name, body: client.upsert(name, PointsList.model_validate(body).points),
    ),
    ("POST", r"/collections/([^/]+)/points"): (
        "retrieve",
        lambda client, name, body: client.retrieve(
            name, body["ids"], with_payload=body["with_payload"], with_vectors=body["with_vector"]
        ),
    ),
    ("POST", r"/collections/([^/]+)/points/count"): (
        "count",
        lambda client, name, body: _count(client, name, CountRequest.model_validate(body)),
    ),
    ("POST", r"/collections/([^/]+)/points/scroll"): (
        "scroll",
        lambda client, name, body: _scroll(client, name, ScrollRequest.model_validate(body)),
    ),
    ("POST", r"/collections/([^/]+)/points/query/batch"): (
        "query",
        lambda client, name, body: client.query_batch_points(
            name, QueryRequestBatch.model_validate(body).searches
        ),
    ),
}


def _switch(client: QdrantClient, body: Any) -> bool:
    actions = models.ChangeAliasesOperation.model_validate(body).actions
    return client.update_collection_aliases(change_aliases_operations=actions)


def _create(client: QdrantClient, name: str, body: Any) -> bool:
    vectors = models.VectorParams.model_validate(body["vectors"])
    return client.create_collection(name, vectors_config=vectors, metadata=body.get("metadata"))


def _count(client: QdrantClient, name: str, asked: CountRequest) -> Any:
    return client.count(name, count_filter=asked.filter, exact=True)


def _scroll(client: QdrantClient, name: str, asked: ScrollRequest) -> Any:
    records, offset = client.scroll(
        name,
        limit=asked.limit or 10,
        offset=asked.offset,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )
    return {"points": [_plain(record) for record in records], "next_page_offset": offset}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def serve(folder: str, port: int, die: str) -> None:
    """Answer one request after the other until killed."""
    client = QdrantClient(path=folder)
    wanted, number, when = [*die.split(":"), "", ""][:3]
    counted: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            path = self.path.partition("?")[0]
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            for (method, pattern), (name, call) in CALLS.items():
                match = re.fullmatch(pattern, path)
                if match and method == self.command:
                    counted[name] += 1
                    dies = name == wanted and counted[name] == int(number)
                    if dies and when == "before":
                        os.kill(os.getpid(), signal.SIGKILL)
                    try:
                        found = _plain(call(client, (*match.groups(), "")[0], body))
                    except ValueError as error:
                        self.reply(404, {"status": {"error": str(error)}})
                        return
                    if dies:
                        os.kill(os.getpid(), signal.SIGKILL)
                    plain = {"title": "stand-in", "version": "0.0.0"}
                    self.reply(200, plain if name == "info" else {"result": found, "status": "ok"})
                    return
            self.reply(501, {"status": {"error": f"{self.command} {path} is not stood in for"}})

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def reply(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", port), Handler)
    print("ready", flush=True)  # noqa: T201 - to whom started it
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("port", type=int)
    parser.add_argument("--die", default="")
    options = parser.parse_args()
    serve(options.folder, options.port, options.die)
