"""Releases made when probe queries were still called canaries are served and restored."""

import json
from typing import Any

import pytest

from rabtriever_core.index.connection import connect
from rabtriever_core.releases.live import check_served_index
from rabtriever_core.releases.promotion import promote, restore
from rabtriever_core.releases.record import read_releases, write_record
from rabtriever_core.releases.serving import release_index
from rabtriever_core.releases.store import part_folder
from rabtriever_core.stages import qdrant_collection
from rabtriever_core.workspace.atomic import write_json
from tests.asking import ask
from tests.core.releases.conftest import Make


def _with_canaries(record: dict[str, Any]) -> dict[str, Any]:
    return {("canaries" if name == "probe_queries" else name): record[name] for name in record}


def test_a_release_that_says_canaries(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        qdrant_collection,
        "write_json",
        lambda path, record: write_json(path, _with_canaries(record)),
    )
    workspace = make()
    release = promote(workspace, by="ana").release
    folder = part_folder(workspace, release.parts["qdrant_collection"])
    assert len(json.loads((folder / "collection.json").read_text())["canaries"]) == 2
    settings = release.settings | {"index": _with_canaries(release.settings["index"])}
    write_record(workspace, release.model_copy(update={"settings": settings}))
    (known,) = read_releases(workspace).values()
    assert known.settings["index"]["canaries"] == 2
    assert release_index(workspace, known).probe_queries == 2
    assert ask(workspace, "tell 6", 1).hits[0].document_id == "d6"
    with connect(workspace.settings.index, workspace.qdrant) as client:
        client.delete_collection(release.collection)
    restore(workspace, by="eve")
    live = check_served_index(workspace)
    assert (live.problem, live.probe_queries, live.agreement) == ("", 2, 1.0)
