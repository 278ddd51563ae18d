"""One small release for all tests of integrations, and who answers from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.releases import store
from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.integrations.released import release_small
from tests.core.releases.conftest import quick_dvc
from tests.core.serving.listening import listening


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that serves a release; nobody changes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "run_dvc", quick_dvc)
        return release_small(tmp_path_factory.mktemp("integrations") / "work")


@pytest.fixture(scope="session")
def url(released: Workspace) -> Iterator[str]:
    """A query service of that workspace."""
    with listening(create_app(released)) as address:
        yield address


@pytest.fixture(scope="session", params=["open", "connect"])
def retriever(request: pytest.FixtureRequest, released: Workspace) -> Iterator[AnyRetriever]:
    """Who answers: the release itself, and a service over HTTP."""
    with (
        Retriever.open(released)
        if request.param == "open"
        else Retriever.connect(request.getfixturevalue("url"))
    ) as made:
        yield made


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
