"""From an empty folder, with git's files and an S3 store: the same answers, and nothing trained."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.dvc.recording import init_dvc, run_dvc
from rabtriever_core.errors import ReleaseError
from rabtriever_core.releases.promotion import promote, restore
from rabtriever_core.releases.remote import push
from rabtriever_core.stages import run
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import Student
from tests.s3 import SECRET, s3_endpoint

BUCKET = "models"
TRACKED = (".dvc/config", ".dvc/.gitignore", "params.yaml", "releases")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an S3 endpoint with an empty bucket; credentials are in the environment."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with s3_endpoint() as address:
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def released(make: Make, tmp_path: Path, real_dvc: None) -> Workspace:
    """A workspace in git that serves a release."""
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet")
    init_dvc(root)
    (root / "params.yaml").write_text("index: {probe_queries: 2, query_tower: torch}\n")
    workspace = make()
    promote(workspace, by="ana")
    return workspace


def test_an_empty_folder_serves_what_an_s3_store_holds(
    released: Workspace, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = released.root
    run_dvc(root, "remote", "add", "--default", "store", f"s3://{BUCKET}/rabtriever")
    run_dvc(root, "remote", "modify", "store", "endpointurl", s3)
    said = CliRunner().invoke(app, ["releases", "push", "-w", str(root)])
    assert said.exit_code == 0, said.output
    assert said.output.startswith("in the remote: 0001-")
    git(root, "add", *TRACKED)
    git(root, "commit", "--quiet", "-m", "a release")
    tracked = "".join(path.read_text() for path in (root / ".dvc").glob("config*"))
    assert SECRET not in tracked
    asked = [f"tell {i}" for i in range(10)]
    expected = [ask(released, text, 24) for text in asked]
    parts = folder_md5s(root / "releases")

    git(tmp_path, "clone", "--quiet", str(root), "elsewhere")
    # Gone: what an empty folder must not need.
    shutil.move(root, tmp_path / "gone")
    there = Workspace.open(tmp_path / "elsewhere")
    assert not any((there.root / "releases" / "store").glob("*/"))
    run_dvc(there.root, "pull")
    assert folder_md5s(there.root / "releases") == parts
    monkeypatch.setattr(run, "build_artifact", lambda *_, **__: pytest.fail("a stage runs"))
    Student.encoded.clear()
    restore(there, by="ben")
    assert Student.encoded == []
    answers = [ask(there, text, 24) for text in asked]
    assert [answer.hits for answer in answers] == [answer.hits for answer in expected]
    assert {answer.release.id for answer in answers} == {expected[0].release.id}
    assert not (there.root / "artifacts").exists()


def test_restore_itself_fetches_from_the_default_remote(released: Workspace) -> None:
    """A folder in the workspace, until another one is chosen."""
    shutil.rmtree(released.root / ".dvc" / "cache")
    # The store still has what the cache lost.
    (release,) = push(released)
    for lost in (".dvc/cache", "releases/store", "qdrant"):
        kept = [(path, path.read_bytes()) for path in (released.root / lost).glob("*.dvc")]
        shutil.rmtree(released.root / lost)
        for path, content in kept:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    assert restore(released, by="ben").id == release


def test_what_cannot_be_pushed_is_said(
    released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dvc(released.root, "remote", "add", "--default", "store", "s3://nowhere/x")
    run_dvc(released.root, "remote", "modify", "store", "endpointurl", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ReleaseError, match=r"releases cannot be pushed: .*`dvc remote list`"):
        push(released)
    run_dvc(released.root, "remote", "default", "workspace")
    one = next(
        p
        for p in (released.root / ".dvc/cache").glob("**/*")
        if p.stem and p.is_file() and p.suffix != ".dir"
    )
    one.unlink()
    with pytest.raises(ReleaseError, match=r"are missing.* releases/store/[0-9a-f]{32}/"):
        push(released)
    with pytest.raises(ReleaseError, match="no release '9'"):
        push(released, "9")
    nothing = Workspace(tmp_path / "nothing", released.settings)
    with pytest.raises(ReleaseError, match="nothing of 'demo' to push"):
        push(nothing)
