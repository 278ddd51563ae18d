"""Preparing a workspace for a deployment: Dagster's settings, DVC's remote, nothing twice."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dagster_project.home import TEMPLATE
from deployments.prepare import STORAGE, install_home, prepare, use_bucket
from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace import Workspace
from tests.s3 import SECRET, s3_endpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_bucket_and_settings_and_again_the_same(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_endpoint() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        home = prepare(workspace.root, bucket="models")
        config = (workspace.root / ".dvc" / "config").read_text()
        assert "s3://models/rabtriever" in config
        assert address in config
        assert SECRET not in config
        run_dvc(workspace.root, "push", "data.dvc")
        assert "up to date" in run_dvc(workspace.root, "push", "data.dvc")
        assert prepare(workspace.root, bucket="models") == home
        assert (workspace.root / ".dvc" / "config").read_text() == config


def test_a_store_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ConfigError, match=r"'models' of http://127\.0\.0\.1:9.*AWS_ENDPOINT_URL"):
        use_bucket(tmp_path, "models")


def test_an_address_with_a_password_is_neither_used_nor_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:{SECRET}@127.0.0.1:9\n")
    with pytest.raises(ConfigError, match="no user name, no password") as found:
        use_bucket(tmp_path, "models")
    assert SECRET not in str(found.value)


def test_dagster_keeps_its_records_in_postgresql_and_an_edited_file_stays(tmp_path: Path) -> None:
    template, storage = (yaml.safe_load(path.read_text()) for path in (TEMPLATE, STORAGE))
    assert not set(template) & set(storage)
    home = install_home(tmp_path / "home")
    written = home / "dagster.yaml"
    assert yaml.safe_load(written.read_text()) == template | storage
    edited = written.read_text() + "\n# ours\n"
    written.write_text(edited)
    install_home(home)
    assert written.read_text() == edited
    # As `make run` leaves it.
    written.write_text(TEMPLATE.read_text())
    install_home(home)
    assert "storage" in yaml.safe_load(written.read_text())
    written.write_text(TEMPLATE.read_text() + "\n# ours\n")
    with pytest.raises(ConfigError, match="names no `storage`"):
        install_home(home)


def test_errors_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deployments.prepare", str(tmp_path / "work")]
    finished = subprocess.run(
        [*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: no qrels")
    assert finished.stderr.count("\n") == 1
