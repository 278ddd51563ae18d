"""The client of the query service: the answers of `Retriever.open`, over a real socket."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from qdrant_client import models
from starlette.responses import PlainTextResponse

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import (
    ConfigError,
    FilterError,
    IndexUnavailableError,
    RabtrieverError,
    UnknownDocumentError,
    UnknownReleaseError,
)
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.serving import OpenRelease
from rabtriever_core.serving.answers import Answer, Query
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.serving.remote import RemoteRetriever
from rabtriever_core.serving.requests import API_KEY
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make
from tests.core.releases.life import life_dataset
from tests.core.serving.listening import listening
from tests.faults.injection import free_port

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """The URL of an application, until the end of the test."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(listening(app))


@pytest.fixture
def workspace(make: Make) -> Workspace:
    """Document i has year 2000 + i and lang de or en."""
    dataset = life_dataset()
    documents = tuple(
        replace(document, metadata={"year": 2000 + i, "lang": "de" if i % 2 else "en"})
        for i, document in enumerate(dataset.documents)
    )
    made = make(dataset=replace(dataset, documents=documents))
    promote(made, by="ana")
    return made


def told(answer: Answer) -> Answer:
    """An answer without what the service keeps to itself."""
    kept = {"settings": {}, "created_by": "", "override": None}
    return replace(answer, release=answer.release.model_copy(update=kept))


def test_answers_are_those_of_the_library(
    workspace: Workspace, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def margins(_: object, query: str, documents: Any) -> list[float]:
        return [float(sum(map(ord, document.id)) % 7) for document in documents]

    monkeypatch.setattr(OpenRelease, "teacher_margins", margins)
    asked: list[dict[str, Any]] = [
        {"query": "tell 7"},
        {"query": "tell 3", "k": 30, "min_probability": 0.9},
        {"query": "tell 4", "k": 9, "filter": {"lang": "de", "year": {"gte": 2010}}},
        {"query": "tell 4", "filter": {"$or": [{"year": 2003}, {"$not": {"lang": "en"}}]}},
        {"query": "tell 5", "rerank": True},
        {"query": "tell 6", "rerank": "auto"},
    ]
    with (
        Retriever.open(workspace) as local,
        Retriever.connect(serve(create_app(workspace))) as remote,
    ):
        for options in asked:
            answer = remote.search(**options)
            assert answer == told(local.search(**options))
            assert asyncio.run(remote.asearch(**options)) == answer
        queries = [Query(**{"text": each["query"]} | _without_query(each)) for each in asked]
        assert remote.answer(queries) == [told(answer) for answer in local.answer(queries)]
        many = [f"tell {i % 20}" for i in range(300)]
        assert remote.search_batch(many, 2) == [told(a) for a in local.search_batch(many, 2)]
        assert remote.answer([]) == []
        embedded = local.embed(["tell 1", "tell 2"])
        assert remote.embed(["tell 1", "tell 2"]) == replace(embedded, release=remote.release)
        candidates = [Document("a", "tell 1"), Document("b", "tell 2", "title", {"x": 1})]
        for documents in (["d3", "d1", "d2"], candidates):
            ranked = local.rerank("tell 2", documents)
            assert remote.rerank("tell 2", documents) == replace(ranked, release=remote.release)


def _without_query(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "query"}


def test_many_loops_and_tasks_share_one(workspace: Workspace, serve: Serve) -> None:
    async def several() -> list[Answer]:
        return await asyncio.gather(*(remote.asearch(f"tell {i}", 1) for i in range(12)))

    async def once() -> None:
        async with RemoteRetriever(url) as own:
            assert (await own.asearch_batch(["tell 4"], 1))[0][0].document_id == "d4"

    url = serve(create_app(workspace))
    with Retriever.connect(url) as remote:
        for _ in range(2):
            found = asyncio.run(several())
            assert [answer[0].document_id for answer in found] == [f"d{i}" for i in range(12)]
    asyncio.run(once())


def test_the_next_release_answers_with_its_own_record(make: Make, serve: Serve) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release
    app = create_app(workspace)
    with Retriever.connect(serve(app)) as remote:
        before = remote.search("tell 7")
        assert before.release.parts == first.parts
        second = promote(make(salt=1), by="ana").release
        app.state.service.retriever.refresh()
        answer = remote.search("tell 7")
        assert (answer.release.id, answer.release.parts) == (second.id, second.parts)
        assert remote.release == answer.release
        # Whoever was answered by the one before may still ask what it was.
        with Retriever.connect(remote.url) as late:
            record, calibration = late._run(late._described(first.id))
            assert (record.parts, calibration) == (first.parts, before.calibration)
            with pytest.raises(UnknownReleaseError, match="no release 0099-abcdef"):
                late._run(late._described("0099-abcdef"))


def test_what_is_wrong_is_said_in_the_words_of_the_library(
    workspace: Workspace, serve: Serve
) -> None:
    with (
        Retriever.open(workspace) as local,
        Retriever.connect(serve(create_app(workspace))) as remote,
    ):
        for retriever in (local, remote):
            with pytest.raises(ValueError, match="k must be at least 1"):
                retriever.search("tell 7", 0)
            with pytest.raises(FilterError, match="no condition"):
                retriever.search("tell 7", filter={"year": {"newer": 3}})
            with pytest.raises(UnknownDocumentError, match="'no such'"):
                retriever.rerank("tell 7", ["d1", "no such"])
        with pytest.raises(ValueError, match=r"k: .*less than or equal to 1000"):
            remote.search("tell 7", 5000)
        with pytest.raises(FilterError, match="cannot be sent"):
            remote.search("tell 7", filter=models.Filter())
        with pytest.raises(ValueError, match="ids, or documents"):
            remote.rerank("tell 7", ["d1", Document("a", "text")])
    with pytest.raises(IndexUnavailableError, match="closed"):
        remote.search("tell 7")


def test_keys(workspace: Workspace, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ApiKeys(workspace).create("app")
    url = serve(create_app(workspace))
    with pytest.raises(ConfigError, match=rf"refuses the API key .*{API_KEY}"):
        Retriever.connect(url)
    with pytest.raises(ConfigError, match="in one line") as caught:
        Retriever.connect(url, f"{key}\nX-Other: 1")
    assert key not in str(caught.value)
    with Retriever.connect(url, key) as remote:
        assert remote.search("tell 7")[0].document_id == "d7"
    monkeypatch.setenv(API_KEY, f"{key}\n")
    with Retriever.connect(url) as remote:
        assert remote.search("tell 7")[0].document_id == "d7"


class Refusing:
    """Answers the first requests with a status, then lets an application answer."""

    def __init__(self, app: Any, status: int, times: int, headers: dict[str, str]) -> None:
        self.app, self.status, self.times, self.headers = app, status, times, headers
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            self.asked += 1
            if self.asked <= self.times:
                refusal = PlainTextResponse("busy", self.status, self.headers)
                return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)


@pytest.mark.parametrize(
    ("status", "headers"), [(429, {"Retry-After": "0"}), (503, {"Retry-After": "0"}), (502, {})]
)
def test_a_busy_service_is_asked_again(
    workspace: Workspace, serve: Serve, status: int, headers: dict[str, str]
) -> None:
    app: Any = Refusing(create_app(workspace), status, 2, headers)
    with Retriever.connect(serve(app)) as remote:
        assert app.asked == 4  # twice refused, then the release and what it is
        app.asked = 0
        assert asyncio.run(remote.asearch("tell 7", 1))[0].document_id == "d7"
        assert app.asked == 3


def test_patience_has_an_end(workspace: Workspace, serve: Serve) -> None:
    app: Any = Refusing(create_app(workspace), 503, 10**6, {"Retry-After": "3600"})
    url = serve(app)
    with pytest.raises(IndexUnavailableError, match="answers 503"):
        Retriever.connect(url, timeout_seconds=1)
    assert app.asked == 1


def test_nothing_served_is_said_by_the_service(make: Make, serve: Serve) -> None:
    url = serve(create_app(make()))
    with pytest.raises(IndexUnavailableError, match=r"503: no release is served now \(request "):
        RemoteRetriever(url, attempts=1).search("tell 7")


@pytest.mark.parametrize(
    ("path", "problem"),
    [("", "Not Found|404"), ("/moved", "308.*see https://elsewhere"), ("/page", "does not answer")],
)
def test_what_is_no_query_service(serve: Serve, path: str, problem: str) -> None:
    app = FastAPI()

    @app.get("/moved/{rest:path}")
    def moved() -> PlainTextResponse:
        return PlainTextResponse("", 308, {"Location": "https://elsewhere"})

    @app.get("/page/{rest:path}")
    def page() -> PlainTextResponse:
        return PlainTextResponse("<html>")

    with pytest.raises(IndexUnavailableError, match=problem):
        Retriever.connect(f"{serve(app)}{path}")


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(IndexUnavailableError, match=f"{url} cannot be reached"):
        RemoteRetriever(url, attempts=1).search("tell 7")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://host",
        "http://",
        "",
        "http://ana:secret@host",
        "http://host?key=secret",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Retriever.connect(url)
    assert "secret" not in str(caught.value)


def test_a_forked_process_has_connections_of_its_own(workspace: Workspace, serve: Serve) -> None:
    with Retriever.connect(serve(create_app(workspace))) as remote:
        pid = os.fork()
        if pid == 0:
            found = remote.search("tell 7", 1)[0].document_id
            os._exit(0 if found == "d7" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert remote.search("tell 8", 1)[0].document_id == "d8"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    workspace: Workspace, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with Retriever.connect(serve(create_app(workspace))) as remote:
        assert remote.search("tell 7", 1)[0].document_id == "d7"


def test_every_error_is_ours(workspace: Workspace, serve: Serve) -> None:
    app = create_app(workspace)
    with Retriever.connect(serve(app)) as remote:

        def broken(*_: object) -> None:
            raise RuntimeError("a fault")

        app.state.service.retriever.answer = broken
        app.state.service._searches._answer = broken
        with pytest.raises(RabtrieverError, match=r"answers 500: internal error \(request "):
            remote.search("tell 7")
