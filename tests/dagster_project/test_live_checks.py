"""A wrong index is seen by the live checks, and nothing is measured on it."""

import dagster as dg
import pytest

from dagster_project.defs import resources
from rabtriever_core.index.checks import live_checks
from rabtriever_core.index.checks.live_checks import LiveIndex
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from tests.dagster_project.conftest import Materialize
from tests.dagster_project.outcomes import checks, materialized


@pytest.mark.parametrize(
    ("live", "failed"),
    [
        (LiveIndex("demo__x", 2, 3, 2, "", 1.0, 3), "holds_all_documents"),
        (LiveIndex("demo__x", 3, 3, 2, "answers 'q' with 'd'", 1.0, 3), "answers_probe_queries"),
        (LiveIndex("demo__x", 3, 3, 2, "", 0.99, 3), "ranks_as_the_model"),
    ],
    ids=["count", "probe queries", "ranking"],
)
def test_a_wrong_index_stops_the_benchmark(
    workspace: Workspace,
    materialize: Materialize,
    monkeypatch: pytest.MonkeyPatch,
    live: LiveIndex,
    failed: str,
) -> None:
    monkeypatch.setattr(resources, "record_stage", lambda *_: "md5")
    monkeypatch.setattr(live_checks, "check_built_index", lambda _: live)
    for stage in STAGES[:-2]:
        run_stage(workspace, stage.name)
    result = materialize(dg.AssetSelection.assets("qdrant_collection", "benchmark_report"))
    assert not result.success
    assert materialized(result) == {"qdrant_collection"}
    assert [name for name, passed in checks(result).items() if not passed] == [failed]
