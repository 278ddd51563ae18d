"""What `rabtriever run` made is shown in Dagster as if a run of the asset had made it, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_project.defs.outside import WHY, report_outside
from dagster_project.defs.sensors import made_outside_of
from dagster_project.defs.story import last_materialization
from rabtriever_core.errors import ArtifactError
from rabtriever_core.releases.log import append
from rabtriever_core.releases.record import write_record
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import META, load_artifact
from tests import standins
from tests.dagster_project.conftest import Materialize

NAMES = [stage.name for stage in STAGES]


@pytest.fixture
def elsewhere() -> Iterator[dg.DagsterInstance]:
    """Dagster's records of somebody who ran nothing in it."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run_all(workspace: Workspace) -> None:
    for name in NAMES:
        run_stage(workspace, name)


def materialization(
    instance: dg.DagsterInstance, asset: str, partition: str | None = None
) -> dg.AssetMaterialization:
    record = last_materialization(instance, dg.AssetKey(asset), partition)
    assert record is not None
    assert record.asset_materialization is not None
    return record.asset_materialization


def count(instance: dg.DagsterInstance, asset: str) -> int:
    return len(instance.fetch_materializations(dg.AssetKey(asset), limit=100).records)


def tags(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    """Those of Dagster, without what points to events."""
    found = materialization(instance, asset).tags or {}
    return {k: v for k, v in found.items() if "input_event_pointer" not in k}


def test_a_run_outside_is_told_as_a_run_of_the_assets_would_have_told_it(
    materialize: Materialize,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    elsewhere: dg.DagsterInstance,
) -> None:
    run_all(workspace)
    assert report_outside(elsewhere, workspace) == ["dataset", *NAMES]
    assert materialize().success
    for asset in ("dataset", *NAMES):
        own, told = materialization(instance, asset), materialization(elsewhere, asset)
        assert tags(elsewhere, asset) == tags(instance, asset)
        assert list(told.metadata) == list(own.metadata)
        differing = {n for n in own.metadata if own.metadata[n] != told.metadata[n]}
        # What was up to date in the run, and is the first that the records know of.
        assert differing <= {"reused", "why", "last embedding: documents", "embedded now"}
    assert materialization(elsewhere, "teacher").metadata["why"].value == WHY
    assert materialization(elsewhere, "teacher").description == WHY


def test_nothing_is_told_twice_and_nothing_of_a_run_of_dagsters_own(
    materialize: Materialize, workspace: Workspace, instance: dg.DagsterInstance
) -> None:
    assert materialize().success
    assert report_outside(instance, workspace) == []
    run_all(workspace)  # up to date
    assert report_outside(instance, workspace) == []
    assert {count(instance, asset) for asset in ("dataset", *NAMES)} == {1}


def test_only_what_changed_is_told_with_what_changed(
    materialize: Materialize,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert materialize().success
    standins.install(monkeypatch, teacher=standins.standin("teacher", dev_mrr=0.625))
    run_stage(workspace, "teacher", force=True)
    assert report_outside(instance, workspace) == ["teacher"]
    assert report_outside(instance, workspace) == []
    told = materialization(instance, "teacher")
    assert "| dev MRR@10 | 0.5 | 0.625 | +0.125 |" in str(told.metadata["since last time"].value)
    # The student is of another teacher now, and Dagster can tell.
    student = tags(instance, "student")["dagster/input_data_version/teacher"]
    assert student != tags(instance, "teacher")["dagster/data_version"]


@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_while_a_run_is_going_on_nothing_is_told(
    workspace: Workspace,
    elsewhere: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
) -> None:
    standins.install(monkeypatch)
    run_stage(workspace, "validated_dataset")

    @dg.job
    def going() -> None: ...

    run = elsewhere.create_run_for_job(going, status=status, tags={"dagster/partition": "other"})
    assert report_outside(elsewhere, workspace, "this") == ["dataset", "validated_dataset"]
    assert report_outside(elsewhere, workspace, "other") == []
    elsewhere.delete_run(run.run_id)
    assert report_outside(elsewhere, workspace, "other") == ["dataset", "validated_dataset"]
    assert materialization(elsewhere, "validated_dataset", "other").partition == "other"


def test_a_run_that_begins_meanwhile_tells_of_what_it_makes(
    workspace: Workspace, elsewhere: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    run_stage(workspace, "validated_dataset")
    asked = iter([False, False, True])
    monkeypatch.setattr("dagster_project.defs.outside._is_running", lambda *_: next(asked))
    assert report_outside(elsewhere, workspace) == ["dataset"]


def test_data_that_are_recorded_but_not_here_are_not_told(
    workspace: Workspace, elsewhere: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git pull` brought a data.dvc."""
    standins.install(monkeypatch)
    run_stage(workspace, "validated_dataset")
    with (workspace.dataset_folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"_id": "x", "text": "new"}) + "\n")
    assert report_outside(elsewhere, workspace) == ["validated_dataset"]
    # As a run gives it, and so nothing is missing in Dagster's eyes.
    initial = materialization(elsewhere, "validated_dataset").tags or {}
    assert initial["dagster/input_data_version/dataset"] == "INITIAL"


def test_a_release_is_told_with_who_released_it(
    workspace: Workspace, elsewhere: dg.DagsterInstance
) -> None:
    record = standins.outcome().release
    write_record(workspace, record)
    append(workspace, "promote", record.id, "ana")
    append(workspace, "refused", "0002-aaaaaa", "ben")
    assert report_outside(elsewhere, workspace) == ["release"]
    assert report_outside(elsewhere, workspace) == []
    told = materialization(elsewhere, "release")
    assert (told.tags or {})["dagster/data_version"] == record.id
    assert told.metadata["decision"].value == "promote by ana"


def test_the_sensor_tells_and_says_what_is_damaged(
    workspace: Workspace, elsewhere: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    monkeypatch.setattr("dagster_project.defs.sensors.ROOTS", {"": workspace.root})
    sensor = made_outside_of("")

    def tick() -> str:
        context = dg.build_sensor_context(instance=elsewhere)
        data: Any = sensor.evaluate_tick(context)
        assert not data.run_requests
        return str(data.skip_message)

    assert tick() == "nothing new"
    run_stage(workspace, "validated_dataset")
    assert tick() == "materialized: dataset, validated_dataset"
    assert tick() == "nothing new"
    meta = workspace.artifact("validated_dataset") / META
    meta.write_text(meta.read_text().replace('"passed": true', '"passed": false'))
    with pytest.raises(ArtifactError):
        load_artifact(meta.parent)
    assert "meta.json is damaged" in tick()
    assert count(elsewhere, "validated_dataset") == 1
