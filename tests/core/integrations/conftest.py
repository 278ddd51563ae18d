"""One small release for all tests of integrations, and who answers from it."""

from collections.abc import Iterator

import pytest

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
