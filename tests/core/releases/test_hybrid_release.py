"""A release that ranks with BM25 beside the margin, from build to restore; one that does not."""

import json
from dataclasses import replace

import pytest
from qdrant_client import models

from rabtriever_core.cli.answers import hit_table
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.connection import connect
from rabtriever_core.index.lexical import FILE, VECTOR, Lexical
from rabtriever_core.index.vectors import point_id
from rabtriever_core.releases.live import check_served_index
from rabtriever_core.releases.promotion import promote, restore, rollback
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.serving import check_collection_of, open_release
from rabtriever_core.releases.store import part_folder
from rabtriever_core.serving import served_quality
from rabtriever_core.serving.retriever import Retriever
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import grown, life_dataset

HYBRID = {"index": {"bm25_weight": 4.0}}


def _gate(release: Release, name: str) -> str:
    return next(gate.text for gate in release.gates if gate.name == name)


def test_words_find_what_the_student_gets_wrong_and_margins_stay_margins(make: Make) -> None:
    workspace = make(wrong=[12], **HYBRID)
    release = promote(workspace, by="ana").release
    folder = part_folder(workspace, release.parts["qdrant_collection"])
    record = json.loads((folder / "collection.json").read_text())
    assert (record["bm25"], record["bm25_terms"]) == ({"weight": 4.0}, 24 + 14), "tale, 10 to 23"
    assert f"{24 * 16 * 4 + (24 + 14) * 8}, no limit" in _gate(release, "small_enough")
    assert record["metadata"][VECTOR] == json.loads((folder / FILE).read_text())["fingerprint"]
    first, second = ask(workspace, "tell 12", 2).hits
    assert (first.document_id, second.document_id) == ("d12", "d13")
    assert first.margin < second.margin == pytest.approx(1.0), "the student's, not the sum"
    assert first.probability < second.probability
    assert first.bm25 is not None
    assert first.bm25 > 0 == second.bm25
    live = check_served_index(workspace)
    assert (live.problem, live.agreement) == ("", 1.0)
    head, row, _ = hit_table([first, second]).splitlines()
    assert head.split() == ["rank", "margin", "bm25", "probability", "document"]
    assert row.split()[1:3] == [f"{first.margin:.3f}", f"{first.bm25:.3f}"]
    with Retriever.open(workspace) as retriever:
        asked = served_quality.evaluate(retriever, workspace.dataset_folder)
    assert (asked.system, asked.means("hybrid")["R@1"]) == ("hybrid", 1.0)


def test_a_release_without_bm25_is_as_it_was_and_can_be_gone_back_to(make: Make) -> None:
    plain = promote(make(wrong=[12]), by="ana").release
    workspace = make(wrong=[12], **HYBRID)
    hybrid = promote(workspace, by="ana").release
    assert hybrid.collection != plain.collection
    assert ask(workspace, "tell 12", 1).hits[0].document_id == "d12"
    rollback(workspace, by="eve")
    (hit,) = ask(workspace, "tell 12", 1).hits
    assert (hit.document_id, hit.bm25) == ("d13", None)
    folder = part_folder(workspace, plain.parts["qdrant_collection"])
    assert not (folder / FILE).exists()
    assert VECTOR not in json.loads((folder / "collection.json").read_text())["metadata"]


def test_another_weight_is_another_release_of_the_same_collection(make: Make) -> None:
    first = promote(make(**HYBRID), by="ana").release
    second = promote(make(index={"bm25_weight": 2.0}), by="ana").release
    assert second.id != first.id
    assert second.collection == first.collection


def test_new_documents_give_all_of_them_new_weights(make: Make) -> None:
    before = promote(make(**HYBRID), by="ana").release
    workspace = make(dataset=grown(life_dataset()), **HYBRID)
    release = promote(workspace, by="ana").release
    assert release.collection != before.collection
    assert ask(workspace, "tell 99", 1).hits[0].document_id == "d99"
    assert check_served_index(workspace).problem == ""
    opened, old = (open_release(workspace, each) for each in (release, before))
    assert opened.lexical is not None
    assert old.lexical is not None
    with connect(workspace.settings.index, workspace.qdrant) as client:
        check_collection_of(client, opened)
        mixed = replace(opened, lexical=old.lexical)
        with pytest.raises(IndexMismatchError, match="was built by another bm25"):
            check_collection_of(client, mixed)


def test_damaged_and_lost_words_are_noticed_and_restored(make: Make) -> None:
    workspace = make(**HYBRID)
    release = promote(workspace, by="ana").release
    damaged = models.PointVectors(
        id=point_id("d5"), vector={VECTOR: models.SparseVector(indices=[0], values=[9.0])}
    )
    with connect(workspace.settings.index, workspace.qdrant) as client:
        client.update_vectors(release.collection, [damaged])
        client.delete_vectors(release.collection, [VECTOR], [point_id("d7")])
    live = check_served_index(workspace)
    assert "stored vector or text of 2 documents" in live.problem
    restore(workspace, by="eve")
    live = check_served_index(workspace)
    assert (live.problem, live.agreement) == ("", 1.0)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        client.delete_collection(release.collection)
    restore(workspace, by="eve")
    live = check_served_index(workspace)
    assert (live.problem, live.agreement) == ("", 1.0)
    assert ask(workspace, "tell 12", 1).hits[0].document_id == "d12"


def test_the_gate_holds_what_is_answered_to_what_is_served(make: Make) -> None:
    served = promote(make(wrong=[12], **HYBRID), by="ana").release
    workspace = make(wrong=[12, 14], dataset=grown(life_dataset()))
    candidate = promote(workspace, by="ana").release
    # On grown data the served release is measured anew, words and all: it gets every query right.
    assert "against 1.0000" in _gate(candidate, "not_worse")
    assert f"{served.id} measured anew" in _gate(candidate, "not_worse")
    assert candidate.id != served.id


def test_auto_takes_what_dev_chooses(make: Make) -> None:
    right = make(index={"bm25_weight": "auto"})
    assert Lexical.load(right.artifact("qdrant_collection")) is None, "there is nothing to gain"
    record = json.loads((right.artifact("qdrant_collection") / "collection.json").read_text())
    assert record["bm25"]["weight"] == 0
    assert record["bm25"]["metrics"]["0"] == 1.0
    assert VECTOR not in record["metadata"]
