"""A changed corpus: what is embedded again, and that it ends as everything embedded anew."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rabtriever_core.config import Settings, StudentConfig
from rabtriever_core.data.dataset import Dataset, Document, write_dataset
from rabtriever_core.index.checks.contents import differing, mend
from rabtriever_core.index.connection import connect
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.search import search
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.index.vectors import point_id
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.states import DocumentReader
from rabtriever_core.stages.kept import keep
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from tests.core.inputs import finished
from tests.core.small import small_backbone, small_dataset
from tests.core.stages.conftest import DATASET

MakeWorkspace = Callable[..., Workspace]
INDEX = {"shard_documents": 15, "probe_queries": 3}
JUDGED = {f"d{i}" for i in range(12)}


def _edited(kept: list[int], edited: list[int], added: int) -> tuple[Document, ...]:
    """The 40 documents without some, others changed, new ones first: their rows all move."""
    documents = [d for i, d in enumerate(DATASET.documents) if d.id in JUDGED or i in kept]
    changed = {f"d{i}" for i in edited}
    documents = [replace(d, text=f"{d.text} again") if d.id in changed else d for d in documents]
    return (*(Document(f"new{i}", f"story {i}") for i in range(added)), *documents)


def _points(workspace: Workspace) -> dict[str, tuple[list[float], dict[str, Any]]]:
    name = run_stage(workspace, "qdrant_collection").meta.metrics["collection"]
    with connect(workspace.settings.index, workspace.qdrant) as client:
        records, _ = client.scroll(name, limit=1000, with_vectors=True)
    return {str(r.id): (r.vector, r.payload) for r in records}  # type: ignore[misc]


@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kept=st.lists(st.integers(12, 39), unique=True),
    edited=st.lists(st.integers(0, 39), max_size=6, unique=True),
    added=st.integers(0, 9),
)
def test_incremental_ends_as_a_full_rebuild(
    student: Any, make_workspace: MakeWorkspace, kept: list[int], edited: list[int], added: int
) -> None:
    documents = _edited(kept, edited, added)
    changed = replace(DATASET, documents=documents)
    before = {d.full_text for d in DATASET.documents}
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        run_stage(make_workspace(Path(first), index=INDEX), "document_embeddings")
        workspace = make_workspace(Path(first), dataset=changed, keep_models=True, index=INDEX)
        student.encoded.clear()
        incremental = run_stage(workspace, "document_embeddings")
        new = [d.id for d in documents if d.full_text not in before]
        again = student.encoded[: len(student.encoded) - len(new)]
        assert student.encoded[len(again) :] == new
        assert len(again) <= (8 if new else 0), "no more than the sample is read again"
        work = workspace.embedding_work()
        assert (work["documents"], work["embedded"]) == (len(documents), len(new))
        assert work["removed"] == 40 + added - len(documents)
        assert work["full"]["embedded"] == work["full"]["documents"]

        make_workspace(Path(second), index=INDEX)
        fresh = make_workspace(Path(second), dataset=changed, keep_models=True, index=INDEX)
        full = run_stage(fresh, "document_embeddings")
        assert full.hash == incremental.hash, "the same bytes: not even the artifact tells"
        assert _points(workspace) == _points(fresh)
        assert fresh.embedding_work()["embedded"] == len(documents)


def test_another_student_embeds_nothing(
    workspace: Workspace, make_workspace: MakeWorkspace, student: Any
) -> None:
    before = run_stage(workspace, "document_embeddings")
    student.encoded.clear()
    for weights, gauge in (("2", "none"), ("2", "balanced"), ("3", "pca")):
        other = make_workspace(workspace.root, weights, index=INDEX | {"gauge": {"method": gauge}})
        after = run_stage(other, "document_embeddings")
        assert (after.reused, after.hash) == (True, before.hash)
        run_stage(other, "qdrant_collection")
    assert not student.encoded


def test_changed_metadata_embed_nothing_and_reach_another_build(
    workspace: Workspace, make_workspace: MakeWorkspace, student: Any
) -> None:
    run_stage(workspace, "document_embeddings")
    before = _points(workspace)
    name = run_stage(workspace, "qdrant_collection").meta.metrics["collection"]
    student.encoded.clear()
    told = {"lang": "de", "tags": ["a", 0.1]}
    first, *rest = DATASET.documents
    changed = replace(DATASET, documents=(replace(first, metadata=told), *rest))
    other = make_workspace(workspace.root, dataset=changed, keep_models=True, index=INDEX)
    run_stage(other, "document_embeddings")
    assert other.embedding_work()["embedded"] == 0
    assert not student.encoded
    after = _points(other)
    built = run_stage(other, "qdrant_collection")
    assert built.meta.metrics["collection"] != name
    assert after.keys() == before.keys()
    point = point_id(first.id)
    vector, payload = before[point]
    assert after.pop(point) == (vector, payload | {"metadata": told})
    assert "metadata" not in payload
    assert all(before[id_] == held for id_, held in after.items())
    stored = StoredDocuments.open(other.artifact("document_embeddings")).state_shards
    with connect(other.settings.index, other.qdrant) as client:
        where = client, built.meta.metrics["collection"]
        assert differing(*where, changed.documents, stored()) == []
        assert differing(*where, DATASET.documents, stored()) == [0]
        assert mend(*where, DATASET.documents, stored(), 10) == [first.id]
        assert differing(*where, DATASET.documents, stored()) == []


def test_states_that_do_not_come_out_the_same_are_not_reused(
    workspace: Workspace,
    make_workspace: MakeWorkspace,
    student: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_stage(workspace, "document_embeddings")
    changed = replace(DATASET, documents=_edited(list(range(40)), [1], 0))
    other = make_workspace(workspace.root, dataset=changed, keep_models=True, index=INDEX)
    monkeypatch.setattr(student, "defect", staticmethod(lambda v: np.nextafter(v, np.float32(9))))
    run_stage(other, "document_embeddings")
    assert other.embedding_work()["embedded"] == 40
    assert "another machine" in other.embedding_work()["refused"]
    assert "every document is embedded anew" in caplog.text


@pytest.mark.parametrize("harm", ["another teacher", "forced", "truncated", "no texts"])
def test_what_cannot_be_trusted_is_embedded_anew(
    workspace: Workspace, make_workspace: MakeWorkspace, student: Any, harm: str
) -> None:
    folder = run_stage(workspace, "document_embeddings").folder
    changed = replace(DATASET, documents=_edited(list(range(40)), [1], 0))
    other = make_workspace(
        workspace.root, dataset=changed, keep_models=harm != "another teacher", index=INDEX
    )
    if harm == "truncated":
        path = folder / "vectors-00001.safetensors"
        path.write_bytes(path.read_bytes()[:-9])
    if harm == "no texts":
        shutil.rmtree(folder)
    run_stage(other, "document_embeddings", force=harm == "forced")
    work = json.loads((other.root / "logs" / "embedding.json").read_text())
    assert (work["embedded"], work["incremental"]) == (40, False)


def test_a_real_model_reads_a_document_alike_beside_any_others() -> None:
    """Bit for bit: what makes incremental and full embeddings the same artifact."""
    dataset = small_dataset()
    reader = DocumentReader(small_backbone(dataset))
    texts = [d.full_text for d in dataset.documents] + list(dataset.queries.values())
    documents = [Document(str(i), " ".join(texts[i : i + 1 + i % 5])) for i in range(len(texts))]
    whole = reader.states(documents)
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 33, 50):
        rows = rng.choice(len(documents), size, replace=False)
        part = reader.states([documents[row] for row in rows])
        np.testing.assert_array_equal(part, whole[rows])


def test_a_real_teacher_ends_in_the_same_artifact_and_ranking(tmp_path: Path) -> None:
    dataset = small_dataset()
    backbone = small_backbone(dataset)
    predictor = make_predictor(backbone.dimension, StudentConfig(), 3)
    first, second, *rest = dataset.documents
    extra = Document("extra", "Something else, said at length, that nobody asked for.")
    edited = replace(second, text=f"{second.text} And then again.")
    # One is gone, too, and with it what it was right for.
    gone = rest.pop().id
    qrels = {
        split: {query: labels for query, labels in rows.items() if gone not in labels}
        for split, rows in dataset.qrels.items()
    }
    changed = replace(dataset, documents=(extra, edited, *rest, first), qrels=qrels)

    def data(opened: Workspace, version: Dataset) -> str:
        return finished(
            opened,
            version.fingerprint,
            "validated_dataset",
            {},
            lambda folder: write_dataset(version, folder),
        )

    ends = []
    for incremental in (True, False):
        opened = Workspace(
            tmp_path / str(incremental), Settings(runtime={"threads": 1, "device": "cpu"})
        )
        hashes = {"validated_dataset": data(opened, dataset)}
        for stage, save in (("teacher", backbone.save), ("student", predictor.save)):
            hashes[stage] = finished(opened, dataset.fingerprint, stage, dict(hashes), save, {})
        if incremental:
            run_stage(opened, "document_embeddings")
        data(opened, changed)
        keep(opened, ("teacher", "student"))
        embeddings = run_stage(opened, "document_embeddings")
        assert opened.embedding_work()["embedded"] == (2 if incremental else 12)
        ends.append((embeddings.hash, _points(opened), _ranking(opened)))
    assert ends[0] == ends[1]


def _ranking(workspace: Workspace) -> list[list[tuple[str, float]]]:
    collection = workspace.artifact("qdrant_collection")
    tower = QueryTower.load(
        workspace.artifact("student"),
        workspace.artifact("teacher"),
        collection,
        workspace.settings.index,
        workspace.settings.runtime,
    )
    name = json.loads((collection / "collection.json").read_text())["collection"]
    with connect(workspace.settings.index, workspace.qdrant) as client:
        found = search(client, name, tower.encode(list(small_dataset().queries.values())), 12)
    return [[(hit.document_id, hit.margin) for hit in hits] for hits in found]
