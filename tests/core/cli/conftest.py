"""A released workspace with the releases' stand-in student, and the command line."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.releases.promotion import promote
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make, dvc, make, student
from tests.core.releases.life import life_dataset

__all__ = ["dvc", "make", "student"]

Rabtriever = Callable[..., Any]


@pytest.fixture
def released(make: Make, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Queries `tell 0` to `tell 19`, each with its document; document i has year 2000 + i."""
    dataset = life_dataset()
    documents = tuple(
        replace(document, metadata={"year": 2000 + i, "lang": "de" if i % 2 else "en"})
        for i, document in enumerate(dataset.documents)
    )
    workspace = make(dataset=replace(dataset, documents=documents))
    promote(workspace, by="ana")
    (workspace.root / "params.yaml").write_text(
        yaml.safe_dump({"index": {"probe_queries": 2, "query_tower": "torch"}})
    )
    monkeypatch.setenv("COLUMNS", "100")
    return workspace


@pytest.fixture
def rabtriever(released: Workspace, monkeypatch: pytest.MonkeyPatch) -> Rabtriever:
    """Runs a command in the released workspace, which the environment names."""
    monkeypatch.setenv("RABTRIEVER_WORKSPACE", str(released.root))

    def invoke(*arguments: object, code: int = 0, stdin: str | None = None) -> Any:
        result = CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke
