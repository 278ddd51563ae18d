"""The exported query tower: torch's margins without torch, and no export that has others."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import GaugeConfig
from rabtriever_core.errors import ArtifactError, ConfigError, ModelError
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.index.onnx import graph, write
from rabtriever_core.index.onnx.graph import quantize_graph, query_side, write_graph
from rabtriever_core.index.onnx.parity import (
    AGREEMENT,
    TOLERANCE,
    largest_difference,
    top_agreement,
)
from rabtriever_core.index.onnx.reader import MODEL_FILE, TOKENIZER_FILE, TOWER_FILE, QueryGraph
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.integrations.onnx import OnnxQueryTower, TowerInfo
from rabtriever_core.integrations.onnx_export import export_query_tower
from rabtriever_core.models.prompt import text_ids
from rabtriever_core.models.student import Student
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from tests.core.integrations.released import small_student, titled_dataset
from tests.core.small import small_backbone

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

QUERIES = [
    "He lied again and I am furious. It is two in the morning.",
    "I am worn out",
    "",
    "<|query|> <|answer|> <|T|>",
    "  two\n\nlines  ",
    "far too long " * 200,
]


@pytest.fixture(scope="module")
def retriever(released: Workspace) -> Iterator[Retriever]:
    """Who encodes by torch: a client of the service would show nothing more of an export."""
    with Retriever.open(released) as opened:
        yield opened


def test_the_export_says_what_it_measured(exported: Path, retriever: Retriever) -> None:
    info = OnnxQueryTower(exported).info
    assert info.parity.documents == retriever.release.count
    assert info.parity.queries > len(QUERIES)
    assert info.parity.max_error <= TOLERANCE
    assert info.parity.served_difference == info.parity.max_error


@pytest.mark.usefixtures("ready_graph")
def test_int8_is_smaller_and_says_how_it_ranks(
    exported: Path, released: Workspace, retriever: Retriever, tmp_path: Path
) -> None:
    info = export_query_tower(released, tmp_path / "small", precision="int8")
    tower = OnnxQueryTower(tmp_path / "small")
    assert (tower.info, info.precision, tower.info.release) == (info, "int8", retriever.release.id)
    sizes = [(folder / MODEL_FILE).stat().st_size for folder in (tmp_path / "small", exported)]
    assert sizes[0] < sizes[1]
    weights = onnx.load(tmp_path / "small" / MODEL_FILE).graph.initializer
    assert not [
        w.name for w in weights if w.data_type == onnx.TensorProto.FLOAT and len(w.dims) > 1
    ]
    parity = info.parity
    assert parity.max_error > TOLERANCE
    assert parity.top10_agreement is not None and parity.top10_agreement >= AGREEMENT
    found, expected = tower.encode(QUERIES), retriever.embed(QUERIES)
    assert np.abs(found.vectors - expected.vectors).max() > 0
    cosines = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        for a, b in zip(found.vectors, np.array(expected.vectors), strict=True)
    ]
    assert min(cosines) > 0.98
    assert sorted(p.name for p in (tmp_path / "small").iterdir()) == [
        "tokenizer.json", TOWER_FILE, MODEL_FILE,
    ]  # fmt: skip


@pytest.mark.usefixtures("ready_graph")
def test_int8_that_ranks_otherwise_is_not_written(
    released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement = lambda *_: 0.85  # noqa: E731
    monkeypatch.setattr(write, "top_agreement", agreement)
    with pytest.raises(ModelError, match=r"0\.850 of int8's ten best.*nothing was written"):
        export_query_tower(released, tmp_path / "tower", precision="int8")
    assert not list(tmp_path.iterdir())
    export_query_tower(released, tmp_path / "tower")


def test_agreement_is_of_the_ten_best_and_ties_are_none_of_it() -> None:
    expected = np.arange(20.0, dtype=np.float32)[None]

    def encoded(margins: np.ndarray) -> Any:
        return SimpleNamespace(encode=lambda *_, **__: SimpleNamespace(margins=lambda _: margins))

    swapped, tied = expected.copy(), expected.copy()
    swapped[0, [19, 18, 0, 1]] = [0, 1, 19, 18]  # two of the best are lost
    tied[0, 9] = 10  # torch's eleventh is as good as its tenth
    arguments = ([""], np.zeros((20, 1), np.float32))
    assert top_agreement(encoded(swapped), encoded(expected), *arguments) == pytest.approx(0.8)
    assert top_agreement(encoded(expected[:, ::-1]), encoded(expected), *arguments) == 0
    assert top_agreement(encoded(expected), encoded(tied), *arguments) == 1
    other = expected.copy()
    other[0, [9, 10]] = [10, 9]
    assert top_agreement(encoded(other), encoded(tied), *arguments) == 1
    assert top_agreement(encoded(other), encoded(expected), *arguments) == pytest.approx(0.9)


def test_large_weights_lie_beside_the_graph(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(exported / MODEL_FILE, tmp_path)
    monkeypatch.setattr(graph, "_LARGE", 0)
    quantize_graph(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [MODEL_FILE, f"{MODEL_FILE}.data"]
    shutil.copy(exported / "tokenizer.json", tmp_path)
    info = OnnxQueryTower(exported).info
    beside = QueryGraph(tmp_path, info.query, info.dimension).encode(QUERIES)
    whole = OnnxQueryTower(exported).encode(QUERIES)
    assert np.abs(beside.vectors - whole.vectors).max() < 0.1 * np.abs(whole.vectors).max()


def test_exports_of_earlier_versions_are_read(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "old")
    path = tmp_path / "old" / TOWER_FILE
    values = json.loads(path.read_text())
    del values["precision"], values["parity"]["top10_agreement"]
    path.write_text(json.dumps(values))
    info = OnnxQueryTower(tmp_path / "old").info
    assert (info.precision, info.parity.top10_agreement) == ("float32", None)


def test_vectors_are_those_of_the_client(exported: Path, retriever: Retriever) -> None:
    tower = OnnxQueryTower(exported)
    found, expected = tower.encode(QUERIES), retriever.embed(QUERIES)
    assert (tower.info.release, tower.info.collection) == (
        expected.release.id,
        expected.release.collection,
    )
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-4)
    np.testing.assert_allclose(found.scales, expected.scales, rtol=1e-4)
    np.testing.assert_allclose(found.offsets, expected.offsets, atol=1e-4)
    assert found.vectors.shape == (len(QUERIES), tower.dimension)
    assert len(tower.encode([])) == 0


def test_it_runs_without_torch(exported: Path, retriever: Retriever) -> None:
    code = (
        "import json, sys\n"
        "from rabtriever_core.integrations.onnx import OnnxQueryTower\n"
        f"encoded = OnnxQueryTower({str(exported)!r}, threads=1).encode([{QUERIES[0]!r}])\n"
        "heavy = [m for m in ('torch', 'transformers', 'qdrant_client') if m in sys.modules]\n"
        "print(json.dumps([heavy, encoded.vectors.tolist()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, vectors = json.loads(done.stdout)
    assert heavy == []
    np.testing.assert_allclose(vectors, retriever.embed(QUERIES[:1]).vectors, atol=1e-4)


def test_offsets_scales_and_a_query_side_of_its_own(exported: Path, tmp_path: Path) -> None:
    """A wide predictor, a shortened gauge, int8's scaling, and other weights for queries."""
    dataset = titled_dataset()
    plain = small_student(dataset, predictor="wide", rank=12)
    student = Student(plain.encoder, plain.predictor, small_backbone(dataset, seed=9))
    documents = list(dataset.documents)
    vectors = student.encode_documents(documents)
    gauge = Gauge.fit(
        GaugeConfig(method="balanced", dimensions=8, spread=True),
        vectors,
        student.encode_queries(QUERIES),
    )
    tower = QueryTower(student, gauge, fill_range=True)
    folder = tmp_path / "wide"
    folder.mkdir()
    write_graph(tower, folder)
    described = TowerInfo.model_validate_json((exported / TOWER_FILE).read_text())
    info = described.model_copy(
        update={
            "dimension": tower.dimension,
            "query": query_side(tower),
            "files": folder_md5s(folder),
        }
    )
    (folder / TOWER_FILE).write_text(info.model_dump_json())
    stored = gauge.documents(vectors)
    assert largest_difference(OnnxQueryTower(folder), tower, QUERIES, stored) <= TOLERANCE
    encoded = tower.encode(QUERIES)
    assert np.abs(encoded.offsets).min() > 0
    assert np.ptp(encoded.scales) > 0


def test_white_space_of_the_template_is_tokenized_with_a_query(
    exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spaced"
    shutil.copytree(exported, folder)
    info = TowerInfo.model_validate_json((folder / TOWER_FILE).read_text())
    side = info.query.model_copy(update={"space": (" ", "\n")})
    spaced = info.model_copy(update={"query": side})
    (folder / TOWER_FILE).write_text(spaced.model_dump_json())
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / TOKENIZER_FILE))
    ids = text_ids(tokenizer, QUERIES, side.space)
    expected = [[*side.head, *row[-side.max_tokens :], *side.tail] for row in ids]
    assert OnnxQueryTower(folder)._rows(QUERIES) == expected
    assert OnnxQueryTower(exported)._rows(QUERIES) != expected


@pytest.mark.usefixtures("ready_graph")
def test_a_release_in_half_precision_is_exported_in_whole(
    released: Workspace, retriever: Retriever, tmp_path: Path
) -> None:
    half = {"runtime": released.settings.runtime.model_dump() | {"precision": "bfloat16"}}
    settings = retriever.release.settings | half
    release = retriever.release.model_copy(update={"settings": settings})
    parity = export_query_tower(released, tmp_path / "tower", release=release).parity
    assert parity.max_error <= TOLERANCE
    assert parity.served_precision == "bfloat16"
    assert parity.served_difference > parity.max_error


@pytest.mark.usefixtures("ready_graph")
def test_an_export_with_other_margins_is_not_written(
    released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tower"
    before = export_query_tower(released, folder)
    right = query_side
    wrong = lambda tower: right(tower).model_copy(update={"tail": ()})  # noqa: E731
    monkeypatch.setattr(write, "query_side", wrong)
    with pytest.raises(ModelError, match="nothing was written"):
        export_query_tower(released, folder)
    assert OnnxQueryTower(folder).info == before
    with pytest.raises(ModelError, match="nothing was written"):
        export_query_tower(released, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["tower"]


def test_what_is_no_export_is_refused(exported: Path, released: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no exported query tower"):
        OnnxQueryTower(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    with (damaged / MODEL_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match=rf"damaged: {MODEL_FILE} differ"):
        OnnxQueryTower(damaged)
    (damaged / TOWER_FILE).write_text("{}")
    with pytest.raises(ArtifactError, match="damaged"):
        OnnxQueryTower(damaged)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="holds something that is no export"):
        export_query_tower(released, other)
    assert (other / "thesis.tex").read_text() == "precious"


def test_without_the_library_it_says_which_extra(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"rabtriever\[local\]"):
        OnnxQueryTower(exported)


@pytest.mark.usefixtures("ready_graph")
def test_command_line(released: Workspace, tmp_path: Path, retriever: Retriever) -> None:
    arguments = ["export-onnx", str(tmp_path / "tower"), "-w", str(released.root), "--json"]
    for of in ([], ["--release", "1"]):
        result = CliRunner().invoke(app, [*arguments, *of])
        assert result.exit_code == 0, result.output
        info = json.loads(result.stdout)
    assert info["release"] == retriever.release.id
    assert info["parity"]["max_error"] <= 1e-3
    assert OnnxQueryTower(tmp_path / "tower").info.release == info["release"]
