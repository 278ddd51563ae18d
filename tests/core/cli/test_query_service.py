"""`rabtriever query` and a running service: named, found, gone, or of something else."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.announcement import announced, running_service
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.cli.conftest import Rabtriever
from tests.core.releases.conftest import Make
from tests.core.serving.listening import listening
from tests.faults.injection import free_port

ASKED = ("query", "tell 7", "-k", 2, "--min-probability", 0)


@pytest.fixture
def url(released: Workspace) -> Iterator[str]:
    with listening(create_app(released)) as address:
        yield address


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a release here fails."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("opened here")

    monkeypatch.setattr(Retriever, "open", opened)


def say(workspace: Workspace, url: object, pid: object = None) -> Path:
    path = workspace.work / "service.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"url": url, "pid": os.getpid() if pid is None else pid}))
    return path


def test_a_service_that_is_named_answers_as_the_release_does(
    rabtriever: Rabtriever, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [rabtriever(*ASKED).stdout, rabtriever(*ASKED, "--json").stdout]
    there = [rabtriever(*ASKED, "--url", url).stdout]
    monkeypatch.setenv("RABTRIEVER_URL", url)
    there.append(rabtriever(*ASKED, "--json").stdout)
    assert there == here
    rabtriever("query", "tell 7", "--min-probability", 1, code=1)


def test_a_service_that_is_named_needs_no_workspace(
    rabtriever: Rabtriever, url: str, tmp_path: Path, no_models: None
) -> None:
    rabtriever(*ASKED, "--url", url, "-w", tmp_path / "none")
    gone = rabtriever(*ASKED, "--url", f"http://127.0.0.1:{free_port()}", code=2)
    assert gone.stderr.startswith("error: the query service http://127.0.0.1:")


def test_a_service_of_the_workspace_is_found(
    rabtriever: Rabtriever, released: Workspace, url: str, no_models: None
) -> None:
    say(released, url)
    answered = rabtriever(*ASKED, "--json")
    assert answered.stderr == f"answered by the service at {url}\n"
    assert json.loads(answered.stdout)["hits"][0]["document_id"] == "d7"


@pytest.mark.parametrize(
    "said",
    [
        "", "{", "[]", "{}", '{"url": 7, "pid": "x"}', '{"url": null, "pid": -1}',
        '{"pid": 99999999999999999999999, "url": "http://localhost"}',
    ],
)  # fmt: skip
def test_a_damaged_announcement_is_none(
    rabtriever: Rabtriever, released: Workspace, said: str
) -> None:
    say(released, "").write_text(said)
    answered = rabtriever(*ASKED)
    assert (answered.stderr, "d7" in rabtriever(*ASKED, "--json").stdout) == ("", True)


def test_a_service_that_is_gone_or_hung_is_not_asked(
    rabtriever: Rabtriever, released: Workspace, url: str
) -> None:
    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitpid(ended, 0)
    for place, pid in ((url, ended), (f"http://127.0.0.1:{free_port()}", None), ("no url", None)):
        say(released, place, pid)
        assert running_service(released) is None
        assert rabtriever(*ASKED).stderr == ""


def test_one_that_wants_a_key_is_asked_by_who_has_it(
    rabtriever: Rabtriever, released: Workspace, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(released, url)
    key = ApiKeys(released).create("ana")
    assert rabtriever(*ASKED).stderr == ""
    monkeypatch.setenv("RABTRIEVER_API_KEY", key)
    assert url in rabtriever(*ASKED).stderr


def test_who_promotes_and_asks_gets_the_new_release(
    make: Make, rabtriever: Rabtriever, released: Workspace, url: str
) -> None:
    say(released, url)
    second = promote(make(salt=1), by="ana").release.id
    answered = rabtriever(*ASKED, "--json")
    assert answered.stderr == ""
    assert json.loads(answered.stdout)["release"] == second


def test_a_service_that_fails_on_the_way_breaks_no_query(
    rabtriever: Rabtriever, released: Workspace, url: str, tmp_path: Path
) -> None:
    say(released, url)
    long = "tell 7 " + "x" * 20_000  # longer than a service takes
    queries = tmp_path / "queries.txt"
    queries.write_text("\n".join(["tell 3"] * 64 + [long, "tell 4"]))
    answered = rabtriever("query", "--queries", queries, "-k", 1, "--min-probability", 0, "--json")
    rows = [json.loads(line) for line in answered.stdout.splitlines()]
    assert [row["query"] for row in rows] == ["tell 3"] * 64 + [long, "tell 4"]
    assert rows[-1]["hits"][0]["document_id"] == "d4"
    assert "not answered by the service, so here: " in answered.stderr


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("::", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_an_announcement_lasts_as_long_as_the_service(
    released: Workspace, host: str, url: str
) -> None:
    path = released.work / "service.json"
    with announced(released, "http", host, 8000):
        assert json.loads(path.read_text()) == {"url": url, "pid": os.getpid()}
    assert not path.exists()
    with announced(released, "http", host, 8000):
        say(released, "http://another")
    assert path.exists(), "another service's"


def test_a_workspace_that_can_only_be_read_is_served_all_the_same(
    released: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: Any) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("rabtriever_core.serving.announcement.write_json", denied)
    with announced(released, "http", "127.0.0.1", 8000):
        assert not (released.work / "service.json").exists()
