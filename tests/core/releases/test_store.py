"""The store with DVC itself: clean ledger, another machine, retired parts."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rabtriever_core.dvc.recording import init_dvc, run_dvc
from rabtriever_core.errors import ReleaseError
from rabtriever_core.releases.promotion import promote, restore
from rabtriever_core.releases.store import is_whole, part_folder, sweep
from rabtriever_core.workspace import Workspace
from tests.asking import ask
from tests.core.releases.conftest import Make


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    finished = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return finished.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("real_dvc")
def test_another_machine_serves_it_from_git_and_the_remote(make: Make, tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet")
    init_dvc(root)
    remote = tmp_path / "remote"
    run_dvc(root, "remote", "add", "--default", "local", str(remote))
    workspace = make()
    (root / ".gitignore").write_text("/data\n/artifacts\n/reports\n/qdrant\n/.work\n/logs\n")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "start")
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")  # as every run does
    release = promote(workspace, by="ana").release
    assert (release.commit, release.dirty) == (git(root, "rev-parse", "HEAD").strip(), False)
    assert "up to date" in run_dvc(root, "status")
    expected = ask(workspace, "tell 12", 5).hits
    run_dvc(root, "push")
    git(root, "add", ".")
    assert not [line for line in git(root, "status", "--short").splitlines() if "weights" in line]
    git(root, "commit", "--quiet", "-m", "release")

    git(tmp_path, "clone", "--quiet", str(root), "other")
    other = Workspace(tmp_path / "other", workspace.settings)
    assert not any(part_folder(other, "").glob("*/meta.json"))
    assert restore(other, by="ben").id == release.id
    assert ask(other, "tell 12", 5).hits == expected
    assert not (other.root / "artifacts").exists()

    # A damaged part comes back; without a record of it, nobody pretends.
    student = part_folder(other, release.parts["student"])
    (student / "weights").write_text("[]  ")
    with pytest.raises(ReleaseError, match="student missing or damaged"):
        ask(other, "tell 12", 5)
    restore(other, by="ben")
    assert ask(other, "tell 12", 5).hits == expected
    shutil.rmtree(student)
    shutil.rmtree(other.root / ".dvc" / "cache")
    remote.rename(tmp_path / "gone")
    with pytest.raises(ReleaseError, match=r"student neither in DVC's cache nor in a remote"):
        restore(other, by="ben")

    kept = {hash_ for name, hash_ in release.parts.items() if name != "backbone"}
    assert sweep(workspace, kept) == [release.parts["backbone"].removesuffix(".dir")]
    assert not is_whole(workspace, release.parts["backbone"])
    assert "up to date" in run_dvc(root, "status")
