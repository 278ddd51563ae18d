"""Queries to try: those that the served release answers rightly, and nobody's feedback."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rabtriever_core.config import Settings
from rabtriever_core.data.demo.examples import EXAMPLES
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.store import part_folder
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.examples import examples
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make

DEV = {f"tell {i}" for i in range(4, 10)}


def own(workspace: Workspace, **page: object) -> Workspace:
    """The same, as a data set of somebody's own."""
    dataset = {"demo": False, "folder": "data/demo"}
    changed = workspace.settings.model_dump() | {"dataset": dataset, "serving": {"page": page}}
    return Workspace(workspace.root, Settings.model_validate(changed))


def shown(workspace: Workspace) -> list[str]:
    with Retriever.open(workspace) as retriever:
        return examples(retriever)


def test_they_are_of_dev_and_answered_rightly(make: Make) -> None:
    workspace = make(wrong=[4, 5, 6, 8])
    promote(workspace, by="ana")
    assert shown(own(workspace)) == ["tell 7", "tell 9"]


def test_three_are_shown_and_settings_come_first(make: Make) -> None:
    made = make()
    release = promote(made, by="ana").release
    workspace = own(made)
    found = shown(workspace)
    assert len(set(found)) == 3
    assert set(found) <= DEV
    assert found == shown(workspace)
    for chosen in ([], ["tell 1"]):
        assert shown(own(made, examples=chosen)) == chosen
    # As on a machine that got only what answering takes.
    part_folder(workspace, release.parts["validated_dataset"]).rename(workspace.root / "away")
    assert shown(workspace) == []


def test_the_demo_shows_those_of_its_readme(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    assert all(text in readme.replace("*", "") for text in EXAMPLES)
    known = {"tell 15": "d15", "tell 12": "d11", "tell 1": "d1"}
    monkeypatch.setattr("rabtriever_core.serving.examples.EXAMPLES", known)
    workspace = make()
    promote(workspace, by="ana")
    found = shown(workspace)
    assert found[:2] == ["tell 15", "tell 1"]  # the other one is answered wrongly
    assert found[2] in DEV


def test_they_take_a_key_where_others_do(make: Make) -> None:
    made = make()
    promote(made, by="ana")
    workspace = own(made)
    key = ApiKeys(workspace).create("ana")
    with TestClient(create_app(workspace)) as client:
        assert client.get("/v1/examples").status_code == 401
        answer = client.get("/v1/examples", headers={"X-API-Key": key})
        assert set(answer.json()["queries"]) <= DEV
