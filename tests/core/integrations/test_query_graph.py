"""A release that carries its query tower as a graph answers alike, and without torch."""

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabtriever_core.errors import ConfigError, DiskFullError, ModelError, ReleaseError
from rabtriever_core.index.onnx import write
from rabtriever_core.index.onnx.reader import FOLDER, MODEL_FILE, QueryGraph
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.integrations.onnx import OnnxQueryTower
from rabtriever_core.integrations.onnx_export import export_query_tower
from rabtriever_core.releases import store
from rabtriever_core.releases.live import check_served_index
from rabtriever_core.releases.promotion import restore
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import open_release
from rabtriever_core.releases.store import check, part_folder
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace import content_hash as content_hashes
from tests.core.integrations.released import release_small
from tests.core.releases.conftest import quick_dvc

QUERIES = [
    "He lied again and I am furious. It is two in the morning.",
    "worn out",
    "<|query|>\n\nx",
]
ASKS = """
import json, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"no {name} here")

REFUSED = "torch transformers peft accelerate scipy pandas matplotlib jinja2 ruamel requests"
REFUSED = {*REFUSED.split(), "dagster", "dvc", "great_expectations", "fastapi", "ir_measures"}
sys.meta_path.insert(0, Refused())
from rabtriever_core import Retriever
from rabtriever_core.errors import ConfigError

with Retriever.open(sys.argv[1]) as retriever:
    answer = retriever.search(sys.argv[2], 3)
    try:
        retriever.rerank(sys.argv[2], [answer.hits[0].document_id])
        refused = None
    except ConfigError as error:
        refused = str(error)
print(json.dumps([[hit.document_id, hit.margin] for hit in answer.hits] + [refused]))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "run_dvc", quick_dvc)
        return release_small(tmp_path_factory.mktemp("graph") / "work", query_tower="onnx")


@pytest.fixture
def copied(served: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(store, "run_dvc", quick_dvc)
    shutil.copytree(served.root, tmp_path / "work")
    return Workspace.open(tmp_path / "work")


def query_tower(workspace: Workspace) -> dict[str, Any]:
    path = workspace.artifact("qdrant_collection") / "collection.json"
    record: dict[str, Any] = json.loads(path.read_text())["query_tower"]
    return record


def graph_file(workspace: Workspace) -> Path:
    part = served_now(workspace).parts["qdrant_collection"]
    return part_folder(workspace, part) / FOLDER / MODEL_FILE


def test_it_answers_as_torch_does(served: Workspace) -> None:
    record = query_tower(served)
    assert (record["form"], record["top10_agreement"]) == ("onnx", 1.0)
    opened = open_release(served, served_now(served))
    assert isinstance(opened.encoder, QueryGraph)
    found, expected = opened.encoder.encode(QUERIES), opened.tower.encode(QUERIES)
    assert found.vectors.shape == (len(QUERIES), opened.encoder.dimension)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-4)
    np.testing.assert_allclose(found.offsets, expected.offsets, atol=1e-4)
    np.testing.assert_allclose(found.scales, expected.scales, rtol=1e-4)


def test_nothing_of_torch_is_needed_to_ask(served: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKS, str(served.root), QUERIES[0]],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    *hits, refused = json.loads(done.stdout)
    with Retriever.open(served) as retriever:
        expected = retriever.search(QUERIES[0], 3)
        assert retriever.rerank(QUERIES[0], [hits[0][0]]).results
    assert hits == [[hit.document_id, hit.margin] for hit in expected]
    assert "the teacher of release 0001" in refused
    assert "pip install 'rabtriever[models]'" in refused


def test_a_collection_that_is_gone_is_built_again_and_asked_by_the_graph(
    copied: Workspace,
) -> None:
    with Retriever.open(copied) as retriever:
        before = [(hit.document_id, hit.margin) for hit in retriever.search(QUERIES[0])]
    shutil.rmtree(copied.qdrant)
    restore(copied, by="test")
    with Retriever.open(copied) as retriever:
        after = [(hit.document_id, hit.margin) for hit in retriever.search(QUERIES[0])]
    assert after == before


def test_live_checks_ask_by_the_graph(served: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch may rank probe queries in another way than an int8 graph that chose them."""
    assert not check_served_index(served).problem
    encode = QueryGraph.encode

    def turned(graph: QueryGraph, queries: Any, batch_size: int = 64) -> QueryVectors:
        found = encode(graph, queries, batch_size)
        return replace(found, vectors=-found.vectors)

    monkeypatch.setattr(QueryGraph, "encode", turned)
    assert "the model with" in check_served_index(served).problem


def test_a_damaged_graph_is_not_asked(copied: Workspace) -> None:
    with graph_file(copied).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ReleaseError, match="qdrant_collection missing or damaged"):
        Retriever.open(copied)


def test_what_was_checked_is_not_read_again_until_it_changes(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, path = served_now(copied), graph_file(copied)
    part = path.parents[1]
    for file in part.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    check(copied, release, ["qdrant_collection"], remembered=True)
    read: list[str] = []
    digest = content_hashes.hashlib.file_digest

    def counted(file: Any, algorithm: str) -> Any:
        read.append(Path(file.name).name)
        return digest(file, algorithm)

    monkeypatch.setattr(content_hashes.hashlib, "file_digest", counted)
    check(copied, release, ["qdrant_collection"], remembered=True)
    assert read == []
    path.write_bytes(b"y" * path.stat().st_size)
    with pytest.raises(ReleaseError, match="missing or damaged"):
        check(copied, release, ["qdrant_collection"], remembered=True)
    assert read == [MODEL_FILE]
    # Who promotes reads everything.
    with pytest.raises(ReleaseError, match="missing or damaged"):
        check(copied, release, ["qdrant_collection"])


@pytest.mark.parametrize("cause", ["torch cannot export", "too large"])
def test_a_model_without_a_graph_is_served_by_torch_and_that_is_said(
    copied: Workspace,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise ModelError("torch cannot export Strange to ONNX")

    if cause == "too large":
        monkeypatch.setattr(write, "_MOST_BYTES", 1)
    else:
        monkeypatch.setattr(write, "write_graph", refuse)
    with caplog.at_level(logging.WARNING):
        artifact = run_stage(copied, "qdrant_collection", force=True)
    assert not (artifact.folder / FOLDER).exists()
    record = query_tower(copied)
    assert record["form"] == "torch"
    said = {"too large": "in every release"}.get(cause, cause)
    assert said in record["why"]
    assert any("queries will be encoded by torch" in message for message in caplog.messages)


def test_a_full_disk_is_no_fault_of_the_model(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.onnx, "export", full)
    with pytest.raises(DiskFullError):
        run_stage(copied, "qdrant_collection", force=True)


def test_without_torch_a_release_without_a_graph_says_what_to_install(
    released: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_release(released, served_now(released))
    assert opened.graph is None
    del opened.__dict__["tower"]
    monkeypatch.setitem(sys.modules, "rabtriever_core.models.student", None)
    with pytest.raises(ConfigError, match=r"encodes queries by torch.*rabtriever\[models\]"):
        opened.encoder.encode(QUERIES)


def test_an_export_is_a_copy_of_what_the_release_carries(served: Workspace, tmp_path: Path) -> None:
    info = export_query_tower(served, tmp_path / "tower")
    carried = graph_file(served)
    assert (tmp_path / "tower" / MODEL_FILE).read_bytes() == carried.read_bytes()
    opened = open_release(served, served_now(served))
    found = OnnxQueryTower(tmp_path / "tower").encode(QUERIES)
    assert (found.vectors == opened.encoder.encode(QUERIES).vectors).all()
    assert info.release == opened.release.id
    export_query_tower(served, tmp_path / "tower", precision="int8")
    assert (tmp_path / "tower" / MODEL_FILE).stat().st_size < carried.stat().st_size
