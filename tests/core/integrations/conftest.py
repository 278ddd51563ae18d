"""One small release for all tests of integrations, and who answers from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.releases import store
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.integrations.released import release_small
from tests.core.releases.conftest import quick_dvc


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that serves a release; nobody changes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "run_dvc", quick_dvc)
        return release_small(tmp_path_factory.mktemp("integrations") / "work")


@pytest.fixture(scope="session")
def retriever(released: Workspace) -> Iterator[Retriever]:
    with Retriever.open(released) as opened:
        yield opened


@pytest.fixture(scope="session")
def exported(released: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's query tower as ONNX: made once, that takes seconds."""
    pytest.importorskip("onnxruntime")
    from rabtriever_core.integrations.onnx_export import export_query_tower

    folder = tmp_path_factory.mktemp("onnx") / "tower"
    export_query_tower(released, folder)
    return folder


@pytest.fixture
def ready_graph(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports copy that graph instead of making it again."""
    from rabtriever_core.index.onnx import write
    from rabtriever_core.index.onnx.reader import TOWER_FILE

    def copy(_: QueryTower, folder: Path) -> None:
        for path in exported.iterdir():
            if path.name != TOWER_FILE:
                shutil.copy(path, folder)

    monkeypatch.setattr(write, "write_graph", copy)
