"""Feedback over HTTP: a row in the data set, and a training example after the next validation."""

import json
from pathlib import Path

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config.params_file import params_yaml
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.data.feedback import FEEDBACK, query_id
from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make


def rows(workspace: Workspace) -> list[dict[str, object]]:
    path = workspace.dataset_folder / FEEDBACK
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_judgement_becomes_a_training_example(make: Make) -> None:
    workspace = make(validation={"min_train_queries": 4})
    release = promote(workspace, by="ana").release
    judged = {"query": " tell 50 anew ", "document_id": "d3", "relevant": True}
    with TestClient(create_app(workspace)) as client:
        stored = {"document_id": "d3", "relevant": True, "stored": True}
        assert client.post("/v1/feedback", json=judged).json() == stored
        again = client.post("/v1/feedback", json=judged | {"query": "Tell 50  ANEW"})
        assert again.json() == stored | {"stored": False}
        other = client.post("/v1/feedback", json=judged | {"relevant": False, "comment": "no"})
        assert other.json() == stored | {"relevant": False}
        assert client.post("/v1/feedback", json=judged | {"release": release.id}).json() == stored
    assert [(row["query"], row["label"], row["release"], row["by"]) for row in rows(workspace)] == [
        ("tell 50 anew", label, release.id, None) for label in (1, 0, 1)
    ]
    (workspace.root / "params.yaml").write_text(params_yaml(workspace.settings), encoding="utf-8")
    ran = CliRunner().invoke(app, ["run", "validated_dataset", "-w", str(workspace.root)])
    assert ran.exit_code == 0, ran.output
    validated = read_dataset(workspace.artifact("validated_dataset"))
    id_ = query_id("tell 50 anew")
    assert validated.queries[id_] == "tell 50 anew"
    assert validated.qrels["train"][id_] == {"d3": 1}
    assert id_ in validated.split_queries("train")


REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"document_id": "faq\t7"}, 422, "no data set can hold the id: it holds a tab"),
    ({"document_id": "gone"}, 404, "not in the served collection: 'gone'"),
    ({"release": "0099-aaaaaa"}, 404, "there is no release 0099-aaaaaa"),
    ({"release": "../../etc/passwd"}, 422, "String should match pattern"),
    ({"relevant": "yes"}, 422, "valid boolean"),
    ({"relevant": 1}, 422, "valid boolean"),
    ({"query": ""}, 422, "at least 1 character"),
    ({"query": "  "}, 422, "match pattern"),
    ({"query": "bell \x07"}, 422, "the control character U+0007"),
    ({"query": "x" * 101}, 422, "a query may have 100 characters"),
    ({"query": "x" * 20_001}, 422, "at most 20000 characters"),
    ({"comment": "x" * 501}, 422, "at most 500 characters"),
    ({"comment": "\x1b[31m"}, 422, "the control character U+001B"),
    ({"label": 3}, 422, "Extra inputs"),
]


def test_what_is_no_judgement_is_refused_and_not_stored(make: Make) -> None:
    workspace = make(validation={"max_query_characters": 100})
    promote(workspace, by="ana")
    judged = {"query": "tell 7", "document_id": "d7", "relevant": True}
    with TestClient(create_app(workspace)) as client:
        for changes, status, said in REFUSED:
            answer = client.post("/v1/feedback", json=judged | changes)
            assert answer.status_code == status, changes
            assert said in answer.text
    assert not rows(workspace)


def test_a_page_of_somebody_else_cannot_store_anything(make: Make) -> None:
    """A form of another origin can send text, but no JSON without asking first."""
    workspace = make()
    promote(workspace, by="ana")
    body = json.dumps({"query": "tell 7", "document_id": "d7", "relevant": True})
    with TestClient(create_app(workspace)) as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = client.post("/v1/feedback", content=body, headers={"content-type": kind})
            assert answer.status_code == 422
        headers = {"origin": "https://example.org", "access-control-request-method": "POST"}
        asked = client.options("/v1/feedback", headers=headers)
        assert "access-control-allow-origin" not in asked.headers
    assert not rows(workspace)


def test_the_key_says_who_judged(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    key = ApiKeys(workspace).create("search page")
    judged = {"query": "tell 7", "document_id": "d7", "relevant": True}
    with TestClient(create_app(workspace)) as client:
        assert client.post("/v1/feedback", json=judged).status_code == 401
        answer = client.post("/v1/feedback", json=judged, headers={"x-api-key": key})
        assert answer.status_code == 200
    assert [row["by"] for row in rows(workspace)] == ["search page"]


def test_switched_off_or_without_data_it_says_so(make: Make) -> None:
    workspace = make(serving={"feedback": False})
    promote(workspace, by="ana")
    judged = {"query": "tell 7", "document_id": "d7", "relevant": True}
    with TestClient(create_app(workspace)) as client:
        answer = client.post("/v1/feedback", json=judged)
        assert (answer.status_code, "serving.feedback" in answer.text) == (403, True)
        assert client.get("/v1/releases").json()["feedback"] is False
    elsewhere = workspace.settings.model_copy(
        update={"dataset": workspace.settings.dataset.model_copy(update={"folder": Path("none")}),
                "serving": workspace.settings.serving.model_copy(update={"feedback": True})}
    )  # fmt: skip
    with TestClient(create_app(Workspace(workspace.root, elsewhere))) as client:
        answer = client.post("/v1/feedback", json=judged)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert not (workspace.root / "none").exists()
