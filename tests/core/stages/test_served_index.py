"""Asking the served index, and checking it live, on a real local Qdrant."""

import json
from pathlib import Path
from typing import Any

import pytest
from rabtriever_core.index.ask import ask

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.connection import connect
from rabtriever_core.index.live_checks import check_live_index
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    run_stage(workspace, "document_embeddings")
    run_stage(workspace, "qdrant_collection")
    return workspace


def test_answers_are_the_models(served: Workspace, student: Any) -> None:
    dataset = {f"d{i}": f"tale {i} of {i % 7}" for i in range(40)}
    hits = ask(served, "tell 3 of 3", 5)
    margins = [hit.margin for hit in hits]
    assert margins == sorted(margins, reverse=True)
    assert [dataset[hit.document_id] for hit in hits] == [hit.text for hit in hits]
    assert 0 <= hits[-1].probability <= hits[0].probability <= 1


def test_a_collection_of_other_models_is_not_asked(served: Workspace, make_workspace: Any) -> None:
    make_workspace(served.root, weights="other", index={"shard_documents": 15, "canaries": 3})
    with pytest.raises(IndexMismatchError, match="built by another student"):
        ask(served, "tell 3 of 3", 5)
    with pytest.raises(IndexMismatchError, match="built by another student"):
        check_live_index(served)


def test_nothing_served_says_what_to_run(workspace: Workspace) -> None:
    with pytest.raises(IndexMismatchError, match="rabtriever run qdrant_collection"):
        ask(workspace, "tell 3 of 3", 5)


def test_a_sound_index(served: Workspace) -> None:
    live = check_live_index(served)
    record = json.loads((served.artifact("qdrant_collection") / "collection.json").read_text())
    assert live.collection == record["collection"]
    assert (live.count, live.expected_count, live.canaries) == (40, 40, 3)
    assert (live.problem, live.agreement) == ("", 1.0)


def test_points_lost_after_the_build_are_noticed(served: Workspace) -> None:
    with connect(served.settings.index, served.qdrant) as client:
        records, _ = client.scroll("demo", limit=25)
        client.delete("demo", points_selector=[record.id for record in records])
    live = check_live_index(served)
    assert (live.count, live.expected_count) == (15, 40)
    assert live.agreement < 1
    assert "the model with" in live.problem


@pytest.fixture
def cut(tmp_path: Path, student: Any, make_workspace: Any) -> Workspace:
    """A collection of fewer dimensions than the student has."""
    gauge = {"method": "balanced", "dimensions": 9}
    workspace = make_workspace(tmp_path, index={"canaries": 3, "gauge": gauge})
    run_stage(workspace, "document_embeddings")
    run_stage(workspace, "qdrant_collection")
    return workspace


def test_a_gauge_is_built_served_and_checked(cut: Workspace) -> None:
    record = json.loads((cut.artifact("qdrant_collection") / "collection.json").read_text())
    assert record["dimension"] == 9
    assert record["top10_agreement"] == 1.0
    assert 0.3 < record["truncation_recall@10"] < 1.0
    live = check_live_index(cut)
    assert (live.problem, live.agreement) == ("", 1.0)
    assert live.losses == {"truncation_recall@10": record["truncation_recall@10"]}
    hits = ask(cut, "tell 3 of 3", 40)
    assert [hit.margin for hit in hits] == sorted((hit.margin for hit in hits), reverse=True)


def test_margins_are_the_students_in_any_whole_gauge(
    tmp_path: Path, student: Any, make_workspace: Any
) -> None:
    found = []
    for method in ("none", "pca"):
        workspace = make_workspace(tmp_path / method, index={"gauge": {"method": method}})
        run_stage(workspace, "document_embeddings")
        run_stage(workspace, "qdrant_collection")
        found.append({hit.document_id: hit.margin for hit in ask(workspace, "tell 3 of 3", 40)})
    assert found[1] == pytest.approx(found[0], abs=1e-4)


def test_a_collection_in_another_gauge_is_not_asked(cut: Workspace, make_workspace: Any) -> None:
    collection = cut.artifact("qdrant_collection")
    gauge = (collection / "gauge.safetensors").read_bytes()
    other = make_workspace(cut.root, index={"canaries": 3})
    embeddings = run_stage(other, "document_embeddings").folder
    (collection / "gauge.safetensors").write_bytes((embeddings / "gauge.safetensors").read_bytes())
    with pytest.raises(IndexMismatchError, match="built by another gauge"):
        ask(other, "tell 3 of 3", 5)
    with pytest.raises(IndexMismatchError, match="built by another document_embeddings"):
        (collection / "gauge.safetensors").write_bytes(gauge)
        check_live_index(other)
