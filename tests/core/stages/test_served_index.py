"""Checking the collection that was built last, on a real local Qdrant."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.checks.live_checks import check_built_index
from rabtriever_core.index.connection import connect
from rabtriever_core.index.hit import Hit
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.search import search
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace


@pytest.fixture
def built(workspace: Workspace) -> Workspace:
    run_stage(workspace, "document_embeddings")
    run_stage(workspace, "qdrant_collection")
    return workspace


def test_a_collection_of_other_models_is_not_asked(built: Workspace, make_workspace: Any) -> None:
    make_workspace(built.root, weights="other", index={"shard_documents": 15, "probe_queries": 3})
    with pytest.raises(IndexMismatchError, match="built by another student"):
        check_built_index(built)


def test_a_collection_that_is_gone_is_named(built: Workspace) -> None:
    shutil.rmtree(built.qdrant)
    with pytest.raises(IndexMismatchError, match="rabtriever run qdrant_collection"):
        check_built_index(built)


def test_a_sound_index(built: Workspace) -> None:
    live = check_built_index(built)
    record = json.loads((built.artifact("qdrant_collection") / "collection.json").read_text())
    assert live.collection == record["collection"]
    assert (live.count, live.expected_count, live.probe_queries) == (40, 40, 3)
    assert (live.problem, live.agreement) == ("", 1.0)


def test_points_lost_after_the_build_are_noticed(built: Workspace) -> None:
    with connect(built.settings.index, built.qdrant) as client:
        (name,) = (collection.name for collection in client.get_collections().collections)
        records, _ = client.scroll(name, limit=25)
        client.delete(name, points_selector=[record.id for record in records])
    live = check_built_index(built)
    assert (live.count, live.expected_count) == (15, 40)
    assert live.agreement < 1
    assert "the model with" in live.problem


@pytest.fixture
def cut(tmp_path: Path, student: Any, make_workspace: Any) -> Workspace:
    """A collection of fewer dimensions than the student has."""
    gauge = {"method": "balanced", "dimensions": 9}
    workspace = make_workspace(tmp_path, index={"probe_queries": 3, "gauge": gauge})
    run_stage(workspace, "document_embeddings")
    run_stage(workspace, "qdrant_collection")
    return workspace


def test_a_gauge_is_built_and_checked(cut: Workspace) -> None:
    record = json.loads((cut.artifact("qdrant_collection") / "collection.json").read_text())
    assert record["dimension"] == 9
    assert record["top10_agreement"] == 1.0
    assert 0.3 < record["truncation_recall@10"] < 1.0
    live = check_built_index(cut)
    assert (live.problem, live.agreement) == ("", 1.0)
    assert live.losses == {"truncation_recall@10": record["truncation_recall@10"]}
    hits = _asked(cut)
    assert [hit.margin for hit in hits] == sorted((hit.margin for hit in hits), reverse=True)


def test_margins_are_the_students_in_any_whole_gauge(
    tmp_path: Path, student: Any, make_workspace: Any
) -> None:
    found = []
    for method in ("none", "pca"):
        workspace = make_workspace(tmp_path / method, index={"gauge": {"method": method}})
        run_stage(workspace, "document_embeddings")
        run_stage(workspace, "qdrant_collection")
        found.append({hit.document_id: hit.margin for hit in _asked(workspace)})
    assert found[1] == pytest.approx(found[0], abs=1e-4)


def test_a_collection_of_another_teacher_is_not_asked(cut: Workspace, make_workspace: Any) -> None:
    other = make_workspace(cut.root, teacher_weights="another", index={"probe_queries": 3})
    run_stage(other, "document_embeddings")
    with pytest.raises(IndexMismatchError, match="built by another"):
        check_built_index(other)


def _asked(workspace: Workspace) -> list[Hit]:
    folder = workspace.artifact("qdrant_collection")
    tower = QueryTower.load(
        workspace.artifact("student"),
        workspace.artifact("teacher"),
        folder,
        workspace.settings.index,
        workspace.settings.runtime,
    )
    name = json.loads((folder / "collection.json").read_text())["collection"]
    with connect(workspace.settings.index, workspace.qdrant) as client:
        return search(client, name, tower.encode(["tell 3 of 3"]), 40)[0]
