"""The whole chain with a pretrained encoder that reads queries and documents apart."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from rabtriever_core import Retriever
from rabtriever_core.errors import ConfigError
from rabtriever_core.integrations.onnx import OnnxQueryTower
from rabtriever_core.integrations.onnx_export import export_query_tower
from rabtriever_core.models.encoder import Encoder
from rabtriever_core.models.saved_encoder import load_text_encoder
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.stages.status import workspace_status
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests.core.small import small_dataset
from tests.core.small_encoder import write_encoder
from tests.e2e.conftest import overlay, small_workspace

DATASET = small_dataset()
QUERIES = [DATASET.queries[query] for query in DATASET.split_queries("test")]


def chain(folder: Path, data: Path, query_encoder: str) -> Workspace:
    """All stages, and a release, with an encoder in the workspace."""
    small_workspace(folder, data)
    write_encoder(folder / "encoder", DATASET)
    params = folder / "params.yaml"
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    changes = {
        "bi_encoder": {"encoder": "encoder"},
        "teacher": {"encoder": "bi_encoder", "cosine_scale": 20.0, "contrastive_weight": 0.0},
        "student": {"query_encoder": query_encoder},
    }
    overlay(values, changes)
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    workspace = Workspace.open(folder)
    for stage in STAGES:
        run_stage(workspace, stage.name)
    promote(workspace, by="test", override="seconds of training")
    return workspace


@pytest.fixture(scope="module", params=["frozen", "lora", "trained"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_data: Path
) -> Workspace:
    return chain(tmp_path_factory.mktemp("encoder") / "work", small_data, request.param)


def test_parts_follow_from_what_they_read(finished: Workspace) -> None:
    parents = {s.name: set(load_artifact(finished.artifact(s.name)).meta.parents) for s in STAGES}
    assert parents["bi_encoder"] == {"validated_dataset", "bi_encoder.encoder"}
    assert parents["teacher"] == {"validated_dataset", "backbone", "bi_encoder"}
    assert isinstance(
        load_text_encoder(finished.artifact("bi_encoder"), finished.settings.runtime), Encoder
    )
    assert {s.state for s in workspace_status(finished)} == {"up to date"}


def test_other_weights_of_the_encoder_are_another_one(finished: Workspace) -> None:
    file = finished.root / "encoder" / "config.json"
    before = file.read_text(encoding="utf-8")
    file.write_text(json.dumps(json.loads(before) | {"layer_norm_eps": 1e-6}), encoding="utf-8")
    try:
        states = {status.stage: status for status in workspace_status(finished)}
        assert states["bi_encoder"].state == "outdated"
        assert "bi_encoder.encoder" in " ".join(states["bi_encoder"].reasons)
        assert states["backbone"].state == "up to date"
    finally:
        file.write_text(before, encoding="utf-8")


def test_the_index_answers_as_the_model_ranks(finished: Workspace) -> None:
    benchmark = json.loads((finished.reports / "benchmark.json").read_text(encoding="utf-8"))
    assert benchmark["exactness"]["top10_agreement"] == 1.0
    systems = benchmark["splits"]["test"]["systems"]
    assert set(systems) == {"popularity", "bm25", "bi_encoder", "teacher", "student"}
    with Retriever.open(finished) as retriever:
        hits = retriever.search(QUERIES[0], k=12)
        again = retriever.search(QUERIES[0], k=12, rerank=True)
    assert {hit.document_id for hit in hits} == {hit.document_id for hit in again}


def test_the_exported_tower_gives_the_same_margins(finished: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    export_query_tower(finished, tmp_path / "tower")
    with Retriever.open(finished) as retriever:
        expected = retriever.embed(QUERIES).vectors
    found = OnnxQueryTower(tmp_path / "tower", threads=1).encode(QUERIES).vectors
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_settings_that_do_not_fit_together_are_refused(
    finished: Workspace, small_data: Path
) -> None:
    for setting, message in (
        ("teacher.start=bi_encoder", "set teacher.start to backbone"),
        ("student.predictor=wide", "only a gated one"),
    ):
        with pytest.raises(ConfigError, match=message):
            Workspace.open(finished.root, (setting,))
