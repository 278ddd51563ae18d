"""The graph with stages that take no time, run in this process."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_project.definitions import defs
from dagster_project.defs.resources import WorkspaceResource
from rabtriever_core.index.checks import live_checks
from rabtriever_core.index.checks.live_checks import LiveIndex
from rabtriever_core.releases import live
from rabtriever_core.workspace import Workspace
from tests import standins

LIVE = LiveIndex("demo__x", 3, 3, 2, "", 1.0, 3)
Materialize = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def materialize(
    workspace: Workspace, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Materialize:
    """Run assets with their checks in this process."""
    standins.install(monkeypatch)
    monkeypatch.setattr(live_checks, "check_built_index", lambda _: LIVE)
    monkeypatch.setattr(live, "check_served_index", lambda _: LIVE)

    def run(selection: dg.AssetSelection | str = "*", **config: Any) -> dg.ExecuteInProcessResult:
        job = dg.define_asset_job("test", selection=selection).resolve(
            asset_graph=defs.resolve_asset_graph()
        )
        return job.execute_in_process(
            resources={"workspace": WorkspaceResource(root=str(workspace.root))},
            run_config={"ops": config} if config else None,
            instance=instance,
            raise_on_error=False,
        )

    return run
