"""A snapshot of all definitions, and that they load without the heavy libraries."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.definitions import defs
from dagster_project.defs.resources import WorkspaceResource
from dagster_project.home import install_dagster_home
from rabtriever_core.releases.gate_names import GATES
from rabtriever_core.stages import STAGES, Stage

GRAPH = defs.resolve_asset_graph()

# asset: (inputs, group, kinds, pool)
ASSETS: dict[str, tuple[set[str], str, set[str], str | None]] = {
    "dataset": (set(), "data", {"dvc", "json"}, None),
    "validated_dataset": ({"dataset"}, "data", {"greatexpectations", "pandas"}, None),
    "backbone": ({"validated_dataset"}, "models", {"pytorch", "huggingface"}, "accelerator"),
    "bi_encoder": (
        {"validated_dataset", "backbone"},
        "models",
        {"pytorch", "huggingface"},
        "accelerator",
    ),
    "teacher": (
        {"validated_dataset", "backbone", "bi_encoder"},
        "models",
        {"pytorch", "huggingface"},
        "accelerator",
    ),
    "student": (
        {"validated_dataset", "teacher"},
        "models",
        {"pytorch", "huggingface"},
        "accelerator",
    ),
    "document_embeddings": (
        {"validated_dataset", "teacher"},
        "index",
        {"pytorch", "numpy"},
        "accelerator",
    ),
    "qdrant_collection": (
        {"validated_dataset", "teacher", "student", "document_embeddings"},
        "index",
        {"qdrant"},
        "qdrant_local",
    ),
    "calibration": (
        {"validated_dataset", "teacher", "student", "document_embeddings"},
        "evaluation",
        {"scipy"},
        "accelerator",
    ),
    "benchmark_report": (
        {
            "validated_dataset",
            "bi_encoder",
            "teacher",
            "student",
            "document_embeddings",
            "calibration",
            "qdrant_collection",
        },
        "evaluation",
        {"python", "matplotlib"},
        "qdrant_local",
    ),
    "release": (
        {"calibration", "qdrant_collection", "benchmark_report"},
        "serving",
        {"qdrant", "dvc"},
        "qdrant_local",
    ),
}

# (asset, check): blocks what is downstream
CHECKS = {
    ("validated_dataset", "fit_for_use"): True,
    ("validated_dataset", "no_findings"): False,
    ("validated_dataset", "fits_version_before"): True,
    ("teacher", "above_floor"): False,
    ("student", "near_teacher"): False,
    ("qdrant_collection", "holds_all_documents"): True,
    ("qdrant_collection", "answers_probe_queries"): True,
    ("qdrant_collection", "ranks_as_the_model"): True,
    **{("release", gate): False for gate in GATES},
    ("release", "answers_as_promoted"): False,
    ("release", "answers_team_canaries"): False,
}


def test_the_assets_are_data_stages_and_release() -> None:
    assert set(ASSETS) == {"dataset", "release", *(stage.name for stage in STAGES)}
    assert {key.to_user_string() for key in GRAPH.get_all_asset_keys()} == set(ASSETS)


@pytest.mark.parametrize("name", ASSETS)
def test_asset(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    inputs, group, kinds, pool = ASSETS[name]
    assert {key.to_user_string() for key in node.parent_keys} == inputs
    assert node.group_name == group
    assert node.kinds == kinds
    assert node.pools == ({pool} if pool else set())
    assert node.owners == ["team:rabtriever"]
    assert node.description


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_code_version_and_retries_come_from_one_place(stage: object) -> None:
    assert isinstance(stage, Stage)
    assets = GRAPH.get(dg.AssetKey(stage.name)).assets_def
    assert assets.get_asset_spec().code_version == str(stage.version)
    policy = assets.op.retry_policy
    assert policy is not None
    assert (policy.max_retries, policy.backoff) == (1, dg.Backoff.EXPONENTIAL)


def test_the_checks_and_which_of_them_block() -> None:
    found = {
        (key.asset_key.to_user_string(), key.name): GRAPH.get(key).blocking
        for key in GRAPH.asset_check_keys
    }
    assert found == CHECKS


def test_jobs_and_schedules() -> None:
    repository = defs.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} == {
        "__ASSET_JOB",
        "full_pipeline",
        "reindex",
        "retrain_as_needed",
        "retrain_predictor",
        "canary_watch",
        "compare_data",
    }
    full = repository.get_job("full_pipeline").asset_layer
    assert len(full.executable_asset_keys) == len(ASSETS)
    reindex = repository.get_job("reindex").asset_layer
    predictor = repository.get_job("retrain_predictor").asset_layer
    added = predictor.executable_asset_keys - reindex.executable_asset_keys
    assert {key.to_user_string() for key in added} == {"student"}
    assert {key.to_user_string() for key in reindex.executable_asset_keys} == {
        "dataset",
        "validated_dataset",
        "document_embeddings",
        "calibration",
        "qdrant_collection",
        "benchmark_report",
        "release",
    }
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert {name: schedule.cron_schedule for name, schedule in schedules.items()} == {
        "weekly_retraining": "0 3 * * 1",
        "nightly_reindex": "0 1 * * *",
        "canaries": "0 6 * * *",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "new_data",
        "made_outside",
        "canary_failure",
        "run_failure",
    }


def test_everything_that_acts_by_itself_is_off() -> None:
    """`made_outside` starts nothing."""
    repository = defs.get_repository_def()
    statuses = {schedule.default_status for schedule in repository.schedule_defs}
    assert statuses == {dg.DefaultScheduleStatus.STOPPED}
    statuses = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert statuses.pop("made_outside") == dg.DefaultSensorStatus.RUNNING
    assert set(statuses.values()) == {dg.DefaultSensorStatus.STOPPED}
    assert not repository.get_sensor_def("made_outside").has_jobs
    assert GRAPH.get(dg.AssetKey("release")).freshness_policy is None


def test_everything_loads_without_the_heavy_libraries() -> None:
    program = (
        "import sys, dagster_project.definitions as d; d.defs.get_repository_def();"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'great_expectations',"
        " 'qdrant_client', 'matplotlib', 'dvc'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert finished.stdout == "[]\n"


def test_the_workspace_is_the_environments_or_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rabtriever_core.workspace import workspace_root

    monkeypatch.setenv("RABTRIEVER_WORKSPACE", str(tmp_path))
    assert workspace_root() == tmp_path
    monkeypatch.delenv("RABTRIEVER_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    assert workspace_root() == tmp_path
    with pytest.raises(dg.Failure, match=r"params\.yaml: run `rabtriever init`"):
        WorkspaceResource(root=str(tmp_path)).open()


def test_dagster_home_is_a_valid_instance_and_edits_stay(tmp_path: Path) -> None:
    home = install_dagster_home(tmp_path / "home")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled
        pools = instance.get_concurrency_config().pool_config
        assert pools.default_pool_limit == 1
        assert pools.pool_granularity is not None
        assert pools.pool_granularity.value == "op"
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    install_dagster_home(home)
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"
