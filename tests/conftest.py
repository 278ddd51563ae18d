"""A workspace to copy: setting one up takes DVC several seconds."""

import shutil
from pathlib import Path

import pytest

from rabtriever_core.dvc.initialize import init_workspace
from rabtriever_core.workspace import Workspace


@pytest.fixture(scope="session")
def workspace_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return init_workspace(tmp_path_factory.mktemp("template"), preset="tiny").root


@pytest.fixture
def workspace(workspace_template: Path, tmp_path: Path) -> Workspace:
    """A workspace of its own with the demo data, nothing run yet."""
    shutil.copytree(workspace_template, tmp_path / "work")
    return Workspace.open(tmp_path / "work")
