"""One deployment, several workspaces: each a partition, with its own automation."""

import shutil
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest
import yaml

from dagster_project.home import install_dagster_home
from dagster_project.workspaces import SINGLE, workspace_roots
from rabtriever_core.automation import canary_watch
from rabtriever_core.automation.canary_watch import Canaries
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from tests import standins
from tests.dagster_project.several import loaded


@pytest.fixture
def tenants(workspace_template: Path, tmp_path: Path) -> Path:
    """Two workspaces side by side; `robots` has its automation on."""
    for name in ("support", "robots"):
        shutil.copytree(workspace_template, tmp_path / "tenants" / name)
    params = tmp_path / "tenants" / "robots" / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["automation"] |= {
        "retrain_enabled": True,
        "retrain_cron": "30 4 * * 0",
        "watch_data": True,
        "freshness_hours": 48,
        "max_retries": 3,
    }
    params.write_text(yaml.safe_dump(values))
    return tmp_path / "tenants"


def names(deployment: ModuleType) -> dict[str, bool]:
    """Schedules and sensors, and which of them are on."""
    repository = deployment.defs.get_repository_def()
    acting = [*repository.schedule_defs, *repository.sensor_defs]
    return {each.name: each.default_status.value == "RUNNING" for each in acting}


def test_every_asset_and_check_has_a_partition_per_workspace(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loaded(monkeypatch, RABTRIEVER_WORKSPACES=str(tenants)) as deployment:
        graph = deployment.defs.resolve_asset_graph()
        keys = [*graph.get_all_asset_keys(), *graph.asset_check_keys]
        partitions = {tuple(graph.get(key).partitions_def.get_partition_keys()) for key in keys}
        assert partitions == {("robots", "support")}
        acting = names(deployment)
        assert {name for name, on in acting.items() if on} == {
            "weekly_retraining_robots",
            "new_data_robots",
            "made_outside_robots",
            "made_outside_support",
        }
        assert "nightly_reindex_support" in acting
        assert tick(deployment, "weekly_retraining_robots").partition_key == "robots"
        assert tick(deployment, "nightly_reindex_robots").partition_key == "robots"
        release = graph.get(dg.AssetKey("release"))
        assert release.freshness_policy.fail_window.to_timedelta().total_seconds() == 48 * 3600
        assert release.assets_def.op.retry_policy.max_retries == 3
        weekly = deployment.defs.get_schedule_def("weekly_retraining_robots")
        assert weekly.cron_schedule == "30 4 * * 0"


def tick(deployment: ModuleType, schedule: str) -> dg.RunRequest:
    """What a schedule asks for."""
    context = dg.build_schedule_context(repository_def=deployment.defs.get_repository_def())
    (request,) = deployment.defs.get_schedule_def(schedule).evaluate_tick(context).run_requests
    return request


def test_the_canaries_of_a_workspace_are_asked_of_it(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def ask(workspace: Workspace) -> Canaries:
        asked.append(workspace.root)
        return Canaries("0003-aaaaaa", 2, ["'q' without wipe within 3"])

    monkeypatch.setattr(canary_watch, "ask_canaries", ask)
    with (
        loaded(monkeypatch, RABTRIEVER_WORKSPACES=str(tenants)) as deployment,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        request = tick(deployment, "canaries_robots")
        result = deployment.defs.resolve_job_def("canary_watch").execute_in_process(
            resources=deployment.defs.resources, instance=instance, tags=request.tags
        )
        assert asked == [tenants / "robots"]
        (found,) = result.get_asset_check_evaluations()
        assert (found.passed, found.partition) == (False, "robots")
        params = tenants / "robots" / "params.yaml"
        values = yaml.safe_load(params.read_text())
        values["automation"]["canary_retrain"] = True
        params.write_text(yaml.safe_dump(values))
        context = dg.build_run_status_sensor_context(
            sensor_name="canary_failure",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_success_event(),
        )
        retrain = deployment.defs.get_sensor_def("canary_failure")(context)
        assert isinstance(retrain, dg.RunRequest)
        assert retrain.partition_key == "robots"


def test_a_run_is_of_the_workspace_of_its_partition(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    listed = f"a={tenants / 'support'},b={tenants / 'robots'}"
    with (
        loaded(monkeypatch, RABTRIEVER_WORKSPACES=listed) as deployment,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        job = dg.define_asset_job("test", selection="key:dataset or key:validated_dataset").resolve(
            asset_graph=deployment.defs.resolve_asset_graph()
        )
        resources = deployment.defs.resources

        def run(partition: str | None) -> dg.ExecuteInProcessResult:
            return job.execute_in_process(
                resources=resources,
                instance=instance,
                partition_key=partition,
                raise_on_error=False,
            )

        assert run("b").success
        assert load_artifact(tenants / "robots" / "artifacts" / "validated_dataset")
        assert not (tenants / "support" / "artifacts").exists()
        key = dg.AssetKey("validated_dataset")
        assert instance.get_materialized_partitions(key) == {"b"}
        assert run("a").success
        assert instance.get_materialized_partitions(key) == {"a", "b"}


def test_a_run_without_a_partition_is_told_to_choose(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loaded(monkeypatch, RABTRIEVER_WORKSPACES=str(tenants)) as deployment:
        workspace = deployment.defs.resources["workspace"]
        with pytest.raises(dg.Failure, match="one of the partitions robots, support"):
            workspace.open()


def test_broken_settings_of_one_workspace_do_not_stop_the_others(
    tenants: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tenants / "support" / "params.yaml").write_text("automation: {retrain_cron: soon}\n")
    with loaded(monkeypatch, RABTRIEVER_WORKSPACES=str(tenants)) as deployment:
        assert names(deployment)["weekly_retraining_robots"]
        assert not names(deployment)["weekly_retraining_support"]
    assert "workspace support runs nothing by itself" in caplog.text
    assert "not a cron schedule" in caplog.text


def test_one_workspace_needs_no_partition(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RABTRIEVER_WORKSPACES", raising=False)
    monkeypatch.setenv("RABTRIEVER_WORKSPACE", str(tmp_path))
    assert workspace_roots() == {SINGLE: tmp_path}


@pytest.mark.parametrize(
    "given", ["a b=/x", "a=/x,a=/y", "=/x", "a=", "/no/such/folder"], ids=lambda text: text
)
def test_workspaces_that_cannot_be_told_apart_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("RABTRIEVER_WORKSPACES", given)
    with pytest.raises(ConfigError, match="RABTRIEVER_WORKSPACES"):
        workspace_roots()


def test_one_run_at_a_time_per_workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def limits() -> list[dict[str, object]]:
        home = install_dagster_home(tmp_path / "home")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            config = instance.get_concurrency_config().run_queue_config
            assert config is not None
            return list(config.tag_concurrency_limits)

    def limit(tag: str) -> list[dict[str, object]]:
        return [{"key": tag, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}]

    monkeypatch.delenv("RABTRIEVER_WORKSPACES", raising=False)
    assert limits() == limit("dagster/code_location")
    monkeypatch.setenv("RABTRIEVER_WORKSPACES", "a=/x,b=/y")
    assert limits() == limit("dagster/partition")
