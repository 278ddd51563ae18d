"""From an empty folder with only the repository and an S3 store: real models, no training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from tests.core.small import small_dataset
from tests.e2e.conftest import small_workspace
from tests.s3 import SECRET, s3_endpoint

ROOT = Path(__file__).parents[2]
ASKED = [text for query, text in small_dataset().queries.items() if query.startswith("test-")][:2]


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def rabtriever(folder: Path, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "rabtriever_core.cli", *arguments, "-w", "."],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def rankings(folder: Path) -> list[Any]:
    options = ("-k", "12", "--min-probability", "0", "--json")
    return [json.loads(rabtriever(folder, "query", text, *options)) for text in ASKED]


@pytest.mark.slow
def test_another_machine_answers_the_same_from_git_and_s3(
    tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet")
    workspace = small_workspace(root, small_data)
    for stage in STAGES:
        run_stage(workspace, stage.name)
    # As Dagster does after every stage.
    run_dvc(root, "commit", "--force")
    promote(workspace, by="test")
    expected = rankings(root)
    parts = folder_md5s(root / "releases")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with s3_endpoint() as address:
        import boto3

        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="models")
        run_dvc(root, "remote", "add", "--default", "store", "s3://models/rabtriever")
        run_dvc(root, "remote", "modify", "store", "endpointurl", address)
        rabtriever(root, "releases", "push")
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", "a release")
        git(tmp_path, "clone", "--quiet", str(root), "elsewhere")
        shutil.rmtree(root)
        there = tmp_path / "elsewhere"
        assert not list(there.glob("**/*.safetensors"))
        run_dvc(there, "pull")
    assert folder_md5s(there / "releases") == parts
    assert "served: release 0001-" in rabtriever(there, "releases", "restore")
    assert rankings(there) == expected
    # No stage has run here.
    assert Workspace.open(there).seconds() == {}
