"""Runs of `make run`: shown where all others are, and as honest about how they end."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from dagster_project.home import install_dagster_home
from dagster_project.launch import DEFINITIONS, LOCATION, origin
from rabtriever_core.workspace import Workspace

ROOT = Path(__file__).parents[2]
# What the UI asks for: the timeline groups runs by their origin, a job's page asks for its runs.
QUERY = """query {
  runsOrError { ... on Runs { results {
    jobName status repositoryOrigin { repositoryName repositoryLocationName }
  } } }
  pipelineOrError(params: {
    pipelineName: "canary_watch", repositoryName: "__repository__",
    repositoryLocationName: "rabtriever"
  }) { ... on Pipeline { runs { status } } }
}"""


def launched(workspace: Workspace, job: str) -> "subprocess.CompletedProcess[str]":
    home = install_dagster_home(workspace.root / ".dagster_home")
    return subprocess.run(
        [sys.executable, "-m", "dagster_project.launch", job],
        cwd=ROOT,
        env=os.environ | {"DAGSTER_HOME": str(home), "RABTRIEVER_WORKSPACE": str(workspace.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_runs_are_of_the_code_location_and_end_as_they_end(workspace: Workspace) -> None:
    well = launched(workspace, "canary_watch")
    assert well.returncode == 0, well.stderr
    assert "check answers_team_canaries passed: no canaries.jsonl" in well.stdout + well.stderr
    (workspace.root / "canaries.jsonl").write_text("no JSON\n")
    badly = launched(workspace, "canary_watch")
    assert badly.returncode == 1
    assert "error: run " in badly.stderr
    assert "of canary_watch ended as FAILURE" in badly.stderr

    shown = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
    location = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name=DEFINITIONS), location_name=LOCATION
    )
    with (
        dg.DagsterInstance.from_config(str(workspace.root / ".dagster_home")) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget([location])) as process,
    ):
        asked = execute_dagster_graphql(process.create_request_context(), QUERY)
        assert asked.data["runsOrError"]["results"] == [
            {"jobName": "canary_watch", "status": status, "repositoryOrigin": shown}
            for status in ("FAILURE", "SUCCESS")
        ]
        of_the_job = asked.data["pipelineOrError"]["runs"]
        assert [run["status"] for run in of_the_job] == ["FAILURE", "SUCCESS"]
        # Runs that wait in the queue count it as one of this workspace.
        tags = [run.tags["dagster/code_location"] for run in instance.get_runs()]
        assert tags == [LOCATION, LOCATION]


def test_the_location_is_the_one_that_the_ui_loads() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert project["dagster"] == {"module_name": DEFINITIONS, "code_location_name": LOCATION}
    assert project["dg"]["project"]["code_location_name"] == LOCATION
    assert origin("full_pipeline").location_name == LOCATION
    for file in ("deployments/compose/workspace.yaml", "deployments/native/stack.py"):
        assert f"location_name: {LOCATION}" in (ROOT / file).read_text(encoding="utf-8")
    assert "python -m dagster_project.launch full_pipeline ||" in (ROOT / "Makefile").read_text()
