"""New data start a run, failing canaries and failed runs are told."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
import yaml

from rabtriever_core.automation import canary_watch, data_versions
from rabtriever_core.automation.canary_watch import Canaries
from rabtriever_core.automation.data_versions import Version
from rabtriever_core.dvc.initialize import prepare_data
from rabtriever_core.dvc.recording import data_md5, run_dvc
from rabtriever_core.errors import DatasetError
from rabtriever_core.releases import promotion
from rabtriever_core.workspace import Workspace
from tests import standins
from tests.dagster_project.several import loaded

Set = Callable[..., None]


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook's address, and what it was told."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", got
    server.shutdown()
    server.server_close()


@pytest.fixture
def configure(workspace: Workspace) -> Set:
    """Change the workspace's automation."""

    def change(**automation: Any) -> None:
        params = workspace.root / "params.yaml"
        values = yaml.safe_load(params.read_text())
        values["automation"] |= automation
        values["dataset"]["demo"] = False
        params.write_text(yaml.safe_dump(values))

    change()
    return change


@pytest.fixture
def deployment(
    workspace: Workspace, configure: Set, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    with loaded(monkeypatch, RABTRIEVER_WORKSPACE=str(workspace.root)) as module:
        yield module


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


class Ticks:
    """The data sensor, asked again and again with the cursor it left."""

    def __init__(self, deployment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sensor = deployment.defs.get_sensor_def("new_data")
        self.cursor: str | None = None
        self.now = 1_000_000.0
        monkeypatch.setattr("time.time", lambda: self.now)

    def __call__(self, seconds: float = 0) -> tuple[list[Any], str]:
        """Requests and reason of a tick this much later."""
        self.now += seconds
        context = dg.build_sensor_context(cursor=self.cursor)
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return list(data.run_requests or []), data.skip_message or ""


def add_query(workspace: Workspace, name: str) -> None:
    with (workspace.dataset_folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"_id": name, "text": f"a new query {name}"}) + "\n")


def test_new_files_start_a_retraining_once_they_settled(
    deployment: ModuleType, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = Ticks(deployment, monkeypatch)
    assert tick()[0] == []
    first, _ = tick(61)  # nothing was validated yet
    assert [request.job_name for request in first] == ["retrain_as_needed"]
    (config,) = [request.run_config["resources"]["workspace"]["config"] for request in first]
    assert config["retraining"] == "as_needed"
    assert tick(61)[0] == []
    add_query(workspace, "n1")
    assert tick(30)[0] == []
    add_query(workspace, "n2")  # still being written
    assert tick(59)[0] == []
    requests, said = tick(59)
    assert (requests, "1 s to go" in said) == ([], True)
    (request,) = tick(1)[0]
    assert request.run_key.startswith("files-")
    assert request.partition_key is None
    assert request.tags["rabtriever/because"].startswith("the files have new content")
    assert tick(1000)[0] == []


def test_a_folder_with_a_missing_file_is_waited_for(
    deployment: ModuleType, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = Ticks(deployment, monkeypatch)
    tick(), tick(61)
    aside = shutil.move(workspace.dataset_folder / "corpus.jsonl", workspace.root / "aside")
    requests, said = tick(61)
    assert (requests, "waiting for a whole data set" in said) == ([], True)
    shutil.move(aside, workspace.dataset_folder / "corpus.jsonl")
    assert tick(61)[0] == []
    assert tick(61)[0] == []


def test_a_pulled_record_brings_its_data_and_runs_on_them(
    deployment: ModuleType,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
) -> None:
    """Somebody recorded other data elsewhere; `git pull` brought data.dvc alone."""
    standins.install(monkeypatch)
    workspace = Workspace.open(workspace.root)
    record = workspace.root / "data.dvc"
    old_record = record.read_text()
    old_data = shutil.copytree(workspace.root / "data", workspace.root / ".work" / "old")
    add_query(workspace, "theirs")
    theirs = prepare_data(workspace)
    new_record = record.read_text()
    record.write_text(old_record)
    run_dvc(workspace.root, "checkout", "--force", "data.dvc")
    assert sorted(p.name for p in old_data.rglob("*")) == sorted(
        p.name for p in (workspace.root / "data").rglob("*")
    )
    tick = Ticks(deployment, monkeypatch)
    tick(), tick(61)
    record.write_text(new_record)
    assert tick(1)[0] == []
    (request,) = tick(61)[0]
    assert request.run_key.startswith("data.dvc-")
    job = dg.define_asset_job("test", selection="dataset").resolve(
        asset_graph=deployment.defs.resolve_asset_graph()
    )
    result = job.execute_in_process(
        resources=deployment.defs.resources, run_config=request.run_config, instance=instance
    )
    assert result.success
    assert data_md5(workspace.root) == theirs
    assert "theirs" in (workspace.dataset_folder / "queries.jsonl").read_text()
    assert tick(61)[0] == []
    assert tick(61)[0] == []


def failed_run(
    deployment: ModuleType, instance: dg.DagsterInstance, selection: str
) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("test", selection=selection).resolve(
        asset_graph=deployment.defs.resolve_asset_graph()
    )
    return job.execute_in_process(
        resources=deployment.defs.resources, instance=instance, raise_on_error=False
    )


def tell_of_failure(
    deployment: ModuleType, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> None:
    sensor = deployment.defs.get_sensor_def("run_failure")
    context = dg.build_run_status_sensor_context(
        sensor_name="run_failure",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
    ).for_run_failure()
    sensor(context)


def test_a_failed_run_is_told_with_its_asset_and_reason(
    deployment: ModuleType,
    configure: Set,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    told: tuple[str, list[dict[str, Any]]],
) -> None:
    def fail(_: object) -> dict[str, Any]:
        raise DatasetError("corpus.jsonl, line 2: not valid JSON")

    standins.install(monkeypatch, validated_dataset=fail)
    configure(webhook_url=told[0])
    result = failed_run(deployment, instance, "key:dataset or key:validated_dataset")
    tell_of_failure(deployment, instance, result)
    (got,) = told[1]
    assert (got["event"], got["asset"], got["release"]) == ("run failed", "validated_dataset", None)
    assert got["reason"] == "corpus.jsonl, line 2: not valid JSON"
    assert (got["workspace"], got["job"]) == ("demo", "test")
    assert got["link"] == f"http://localhost:3000/runs/{result.run_id}"


def test_a_refused_release_is_told_with_its_gates(
    deployment: ModuleType,
    configure: Set,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    told: tuple[str, list[dict[str, Any]]],
) -> None:
    monkeypatch.setattr(promotion, "promote", lambda *_, **__: standins.outcome("not_worse"))
    configure(webhook_url=told[0])
    tell_of_failure(deployment, instance, failed_run(deployment, instance, "release"))
    (got,) = told[1]
    assert (got["event"], got["asset"]) == ("release refused", "release")
    assert got["release"] == "0001-abcdef"
    assert "what was served stays: not_worse: not_worse!" in got["reason"]


def test_a_webhook_that_is_down_fails_nothing(
    deployment: ModuleType,
    configure: Set,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(promotion, "promote", lambda *_, **__: standins.outcome("not_worse"))
    configure(webhook_url="http://127.0.0.1:9/T0KEN", webhook_attempts=1)
    tell_of_failure(deployment, instance, failed_run(deployment, instance, "release"))
    assert "the webhook at 127.0.0.1 was not told of 'release refused'" in caplog.text
    assert "T0KEN" not in caplog.text


def ask(
    deployment: ModuleType, instance: dg.DagsterInstance
) -> "tuple[dg.RunRequest | dg.SkipReason, dg.ExecuteInProcessResult]":
    result = deployment.defs.resolve_job_def("canary_watch").execute_in_process(
        resources=deployment.defs.resources, instance=instance
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="canary_failure",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_success_event(),
    )
    return deployment.defs.get_sensor_def("canary_failure")(context), result


def test_failing_canaries_are_told_and_retrained_where_that_is_wanted(
    deployment: ModuleType,
    configure: Set,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    told: tuple[str, list[dict[str, Any]]],
) -> None:
    configure(webhook_url=told[0])
    found = Canaries("0003-aaaaaa", 2, [])
    monkeypatch.setattr(canary_watch, "ask_canaries", lambda _: found)
    answer, _ = ask(deployment, instance)
    assert isinstance(answer, dg.SkipReason)
    assert told[1] == []
    found = Canaries("0003-aaaaaa", 2, ["'q' without wipe within 3"])
    answer, _ = ask(deployment, instance)
    assert "canary_retrain is off" in str(answer)
    (got,) = told[1]
    assert (got["event"], got["release"]) == ("canaries failed", "0003-aaaaaa")
    assert "'q' without wipe within 3" in got["reason"]
    configure(canary_retrain=True)
    first, _ = ask(deployment, instance)
    again, _ = ask(deployment, instance)
    assert isinstance(first, dg.RunRequest) and isinstance(again, dg.RunRequest)
    assert first.run_key == again.run_key == found.key


def test_the_settings_switch_the_automation_on(
    workspace: Workspace, configure: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(
        retrain_enabled=True,
        reindex_enabled=True,
        watch_data=True,
        canary_enabled=True,
        webhook_url="https://chat.example/x",
    )
    with loaded(monkeypatch, RABTRIEVER_WORKSPACE=str(workspace.root)) as module:
        repository = module.defs.get_repository_def()
        acting = [*repository.schedule_defs, *repository.sensor_defs]
        assert {each.name for each in acting if each.default_status.value == "RUNNING"} == {
            "weekly_retraining",
            "nightly_reindex",
            "canaries",
            "new_data",
            "made_outside",
            "canary_failure",
            "run_failure",
        }


def test_the_job_that_compares_versions_shows_a_table(
    deployment: ModuleType, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Version(name="v1", md5="ab" * 16, documents=3, quality={"test": {"student": 0.5}})]
    monkeypatch.setattr(data_versions, "measure_versions", lambda *_: found)
    config = {"ops": {"measure_data_versions": {"config": {"versions": ["v1"]}}}}
    job = deployment.defs.resolve_job_def("compare_data")

    def run() -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            resources=deployment.defs.resources,
            run_config=config,
            instance=instance,
            raise_on_error=False,
        )

    result = run()
    assert result.success
    found.append(Version(name="v2", md5="cd" * 16, problem="no bytes"))
    failed = run()
    (event,) = failed.filter_events(lambda e: e.is_step_failure)
    stated = event.step_failure_data.user_failure_data
    assert stated is not None
    assert stated.description == "v2: no bytes"
