"""The collection stage on a real local Qdrant."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabtriever_core.errors import ArtifactError, IndexMismatchError, IndexUnavailableError
from rabtriever_core.index import collection
from rabtriever_core.index.aliases import alias_target, check_built_by, physical_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.lexical import Lexical
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.search import search
from rabtriever_core.stages.qdrant_collection import is_live
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import Artifact, file_md5, load_artifact

MakeWorkspace = Callable[..., Workspace]


def _run(workspace: Workspace) -> Artifact:
    run_stage(workspace, "document_embeddings")
    return run_stage(workspace, "qdrant_collection")


def _collections(workspace: Workspace) -> set[str]:
    with connect(workspace.settings.index, workspace.qdrant) as client:
        assert alias_target(client, workspace.alias) is None, "serving is a release's business"
        return {collection.name for collection in client.get_collections().collections}


def test_builds_and_verifies(workspace: Workspace, student: Any) -> None:
    assert not is_live(workspace)
    assert not workspace.qdrant.exists()  # asking creates nothing
    artifact = _run(workspace)
    record = json.loads((artifact.folder / "collection.json").read_text())
    assert set(record) == {
        "alias",
        "collection",
        "count",
        "dimension",
        "metadata",
        "mode",
        "top10_agreement",
        "query_tower",
        "probe_queries",
    }
    assert (record["alias"], record["count"], record["dimension"]) == ("demo", 40, 16)
    assert (record["mode"], record["top10_agreement"]) == ("local", 1.0)
    assert artifact.meta.metrics["probe_queries"] == len(record["probe_queries"]) == 3
    assert artifact.meta.metrics["queries_compared"] == 4
    with connect(workspace.settings.index, workspace.qdrant) as client:
        built = physical_collection(client, record["collection"])
        check_built_by(built, record["metadata"])
        assert alias_target(client, "demo") is None
        for probe in record["probe_queries"]:
            asked = QueryVectors.plain(student().encode_queries([probe["query"]]))
            assert search(client, built.name, asked, 1)[0][0].document_id in probe["expected"]
    assert is_live(workspace)
    assert run_stage(workspace, "qdrant_collection").reused


def test_bm25_beside_the_vectors_is_built_the_same_again(
    make_workspace: MakeWorkspace, tmp_path: Path, student: Any
) -> None:
    one, other = (
        make_workspace(tmp_path / name, index={"probe_queries": 3, "bm25_weight": 0.5})
        for name in ("one", "other")
    )
    artifact, again = _run(one), _run(other)
    assert artifact.hash == again.hash, "though sets of words have another order in each process"
    lexical = Lexical.load(artifact.folder)
    assert lexical is not None
    assert (lexical.weight, artifact.meta.metrics["bm25"]) == (0.5, {"weight": 0.5})
    assert artifact.meta.metrics["top10_agreement"] == 1.0
    plain = make_workspace(tmp_path / "plain", index={"probe_queries": 3})
    assert _run(plain).meta.metrics["collection"] != artifact.meta.metrics["collection"]
    assert "bm25" not in run_stage(plain, "qdrant_collection").meta.metrics


def test_bm25_that_qdrant_does_not_hold_as_it_is_is_refused(
    make_workspace: MakeWorkspace,
    tmp_path: Path,
    student: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = make_workspace(tmp_path / "one", index={"bm25_weight": 50.0})
    stored = collection.point_vector

    def weighed(vector: np.ndarray, terms: Any) -> Any:
        numbers, weights = terms
        return stored(vector, (numbers, weights * 1e-3))

    monkeypatch.setattr(collection, "point_vector", weighed)
    with pytest.raises(IndexMismatchError, match="and the model agree on"):
        _run(workspace)


def test_deleted_or_incomplete_storage_is_built_again(workspace: Workspace) -> None:
    first = _run(workspace)
    shutil.rmtree(workspace.qdrant)
    assert not is_live(workspace)
    again = _run(workspace)
    assert (again.reused, again.hash) == (False, first.hash)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        (name,) = (collection.name for collection in client.get_collections().collections)
        records, _ = client.scroll(name, limit=2)
        client.delete(name, points_selector=[record.id for record in records])
    assert not is_live(workspace)
    assert _run(workspace).hash == first.hash
    assert is_live(workspace)


def test_another_alias_gets_a_collection_of_its_own(
    workspace: Workspace, make_workspace: MakeWorkspace
) -> None:
    _run(workspace)
    index = {"shard_documents": 15, "probe_queries": 3, "collection": "elsewhere"}
    renamed = make_workspace(workspace.root, index=index)
    assert not is_live(renamed)
    assert _run(renamed).meta.metrics["alias"] == "elsewhere"
    assert is_live(renamed)


def test_every_student_gets_a_collection_of_its_own(
    workspace: Workspace, make_workspace: MakeWorkspace
) -> None:
    names = []
    for weights in ("1", "2", "3"):
        make_workspace(workspace.root, weights)
        names.append(_run(workspace).meta.metrics["collection"])
    assert len(set(names)) == 3
    assert _collections(workspace) == set(names)


def test_vectors_of_another_model_are_no_candidate(
    workspace: Workspace,
    make_workspace: MakeWorkspace,
    student: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _run(workspace)
    make_workspace(workspace.root, "2", teacher_weights="another")
    monkeypatch.setattr(student, "defect", staticmethod(lambda v: np.roll(v, 1, axis=0)))
    with pytest.raises(IndexMismatchError, match=r"agree on 0\.\d+ of the top 10.*not served"):
        _run(workspace)
    assert load_artifact(workspace.artifact("qdrant_collection")).hash == before.hash


def test_broken_upload_is_no_candidate(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = collection._upsert
    with monkeypatch.context() as patch:
        patch.setattr(collection, "_upsert", lambda c, name, batch: upsert(c, name, batch[1:]))
        with pytest.raises(IndexMismatchError, match="39 points, not 40"):
            _run(workspace)
    assert not workspace.artifact("qdrant_collection").exists()
    _run(workspace)  # the missing point is added
    assert is_live(workspace)


def test_embeddings_of_other_documents_are_refused(workspace: Workspace) -> None:
    artifact = run_stage(workspace, "document_embeddings")
    folder, meta = artifact.folder, artifact.meta
    ids = json.loads((folder / "ids.json").read_text())
    (folder / "ids.json").write_text(json.dumps(ids[::-1]))
    with pytest.raises(ArtifactError, match="damaged"):
        run_stage(workspace, "qdrant_collection")
    files = meta.files | {"ids.json": file_md5(folder / "ids.json")}
    other = meta.model_copy(update={"files": files}).sealed()
    (folder / "meta.json").write_text(other.model_dump_json())
    with pytest.raises(ArtifactError, match="of other documents than the data set"):
        run_stage(workspace, "qdrant_collection")


def test_connection_errors_are_not_taken_for_a_missing_index(
    workspace: Workspace, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    _run(workspace)
    unreachable = make_workspace(workspace.root, index={"url": "http://127.0.0.1:9"})
    with pytest.raises(IndexUnavailableError, match=r"127\.0\.0\.1:9 cannot be reached"):
        is_live(unreachable)
