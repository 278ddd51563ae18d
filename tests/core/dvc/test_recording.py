"""DVC's ledger agrees with our hashes, stays inside the workspace, and survives two at once."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from rabtriever_core.dvc import recording
from rabtriever_core.dvc.recording import (
    add_data,
    data_md5,
    init_dvc,
    record_stage,
    recorded_md5,
    run_dvc,
)
from rabtriever_core.errors import ConfigError, StageBusyError, VersioningError
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash, load_artifact
from tests import standins


def git(folder: Path, *arguments: str) -> str:
    finished = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return finished.stdout


def test_where_dvc_is_not_installed_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "No module named dvc" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(recording, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"rabtriever\[pipeline\]"):
        run_dvc(tmp_path, "init")


def test_folder_hash_is_dvcs(tmp_path: Path) -> None:
    run_dvc(tmp_path, "init", "--no-scm", "--quiet")
    folder = tmp_path / "folder"
    (folder / "a" / "deep").mkdir(parents=True)
    (folder / "a" / "deep" / "é ü.txt").write_text("ümlaut", encoding="utf-8")
    (folder / "a" / "crlf.tsv").write_bytes(b"a\r\nb\r\n")
    # "a/x" sorts after "a-b" as a string and before it as path parts.
    (folder / "a-b").write_bytes(b"\x00\xff")
    (folder / "a.txt").touch()
    run_dvc(tmp_path, "add", "--quiet", "folder")
    recorded = yaml.safe_load((tmp_path / "folder.dvc").read_text())["outs"][0]["md5"]
    assert folder_hash(folder) == recorded


def test_a_nested_workspace_leaves_the_repository_around_it_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    run_dvc(tmp_path, "init", "--quiet")
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    (work / "data" / "file").write_text("content")
    before = git(tmp_path, "status", "--short", "--ignored", "--untracked-files=normal")
    files = {path: path.read_bytes() for path in tmp_path.glob(".dvc/config*")}
    init_dvc(work)
    run_dvc(work, "add", "--quiet", "data")
    assert git(tmp_path, "status", "--short", "--ignored", "--untracked-files=normal") == before
    assert {path: path.read_bytes() for path in tmp_path.glob(".dvc/config*")} == files
    assert not list((tmp_path / ".dvc").glob("cache/files/md5/*"))
    assert data_md5(work) == folder_hash(work / "data")


def test_sources_without_their_git_history_still_work(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    init_dvc(tmp_path)
    assert "analytics = false" in (tmp_path / ".dvc" / "config").read_text()
    shutil.rmtree(tmp_path / ".git")
    init_dvc(tmp_path)
    run_dvc(tmp_path, "status")


def test_recorded_hash_is_the_artifacts(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    assert recorded_md5(workspace, "validated_dataset") is None
    artifact = run_stage(workspace, "validated_dataset")
    assert record_stage(workspace, "validated_dataset") == artifact.hash
    assert recorded_md5(workspace, "validated_dataset") == artifact.hash
    assert "validated_dataset" not in run_dvc(workspace.root, "status", "validated_dataset")


def test_a_bi_encoder_that_the_teacher_does_not_start_from_makes_nothing_stale(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    chain = ("validated_dataset", "backbone", "bi_encoder", "teacher")

    def changed(section: str, name: str, value: object) -> Workspace:
        params = workspace.root / "params.yaml"
        values = yaml.safe_load(params.read_text(encoding="utf-8"))
        values[section][name] = value
        params.write_text(yaml.safe_dump(values), encoding="utf-8")
        return Workspace.open(workspace.root)

    def stale() -> set[str]:
        return set(json.loads(run_dvc(workspace.root, "status", "--json", *chain)))

    for name in chain:
        run_stage(workspace, name)
    run_dvc(workspace.root, "commit", "--force", *chain)
    first = load_artifact(workspace.artifact("teacher"))
    assert set(first.meta.parents) == {"validated_dataset", "backbone"}
    other = changed("bi_encoder", "temperature", 0.1)
    assert stale() == {"bi_encoder"}
    assert not run_stage(other, "bi_encoder").reused
    record_stage(other, "bi_encoder")
    assert stale() == set()
    assert run_stage(other, "teacher").reused

    chosen = changed("teacher", "start", "bi_encoder")
    assert stale() == {"teacher"}
    teacher = run_stage(chosen, "teacher")
    assert set(teacher.meta.parents) == {"validated_dataset", "bi_encoder"}
    record_stage(chosen, "teacher")
    assert stale() == set()
    again = changed("bi_encoder", "temperature", 0.2)
    run_stage(again, "bi_encoder")
    record_stage(again, "bi_encoder")
    assert stale() == {"teacher"}
    assert not run_stage(again, "teacher").reused


def test_two_steps_record_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    standins.install(monkeypatch)
    hashes = {name: run_stage(workspace, name).hash for name in ("validated_dataset", "backbone")}
    command = (
        "import sys; from pathlib import Path; from rabtriever_core.dvc.recording import *;"
        "print(record_stage(Workspace.open(Path(sys.argv[1])), sys.argv[2]))"
    )

    def record(stage: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-c", command, str(workspace.root), stage],
            check=True,
            capture_output=True,
            text=True,
        )
        return finished.stdout.strip()

    with ThreadPoolExecutor() as pool:
        recorded = dict(zip(hashes, pool.map(record, hashes), strict=True))
    assert recorded == hashes
    assert {name: recorded_md5(workspace, name) for name in hashes} == hashes


def test_a_recorder_that_never_ends_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    monkeypatch.setattr(recording, "_PATIENCE_SECONDS", 0.1)
    workspace.work.mkdir(exist_ok=True)
    with (
        filelock.FileLock(workspace.work / "dvc-record.lock"),
        pytest.raises(StageBusyError, match=r"dvc-record\.lock"),
    ):
        record_stage(workspace, "teacher")


def test_dvcs_message_is_kept(workspace: Workspace) -> None:
    with pytest.raises(VersioningError, match=r"dvc commit .* failed in .*ERROR.*teacher"):
        record_stage(workspace, "teacher")


@pytest.mark.parametrize(
    "content", [b"stages: [", b"stages: \xff", b"md5: 2001-13-45", b"[" * 5000]
)
def test_damaged_ledgers_are_named(workspace: Workspace, content: bytes) -> None:
    (workspace.root / "dvc.lock").write_bytes(content)
    with pytest.raises(VersioningError, match=r"dvc\.lock is not valid YAML.*restore it from git"):
        recorded_md5(workspace, "teacher")


def test_data_is_recorded_once_and_can_be_restored(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = workspace.root
    content = folder_hash(root / "data")
    with monkeypatch.context() as patched:
        patched.setattr(recording, "run_dvc", lambda *_: pytest.fail("nothing changed"))
        assert add_data(workspace) == content == data_md5(root)
    (root / "data" / "demo" / "queries.jsonl").write_text("{}\n")
    assert add_data(workspace) == data_md5(root) != content
    shutil.rmtree(root / "data")
    run_dvc(root, "checkout", "data.dvc")
    assert (root / "data" / "demo" / "queries.jsonl").read_text() == "{}\n"


def test_a_clone_gets_the_bytes_into_its_cache(workspace: Workspace) -> None:
    """data.dvc comes with git, the cache does not."""
    record = (workspace.root / "data.dvc").read_bytes()
    shutil.rmtree(workspace.root / ".dvc" / "cache")
    add_data(workspace)
    assert (workspace.root / "data.dvc").read_bytes() == record
    assert "up to date" in run_dvc(workspace.root, "status", "data.dvc")
    assert list((workspace.root / ".dvc" / "cache").rglob("*.dir"))


def test_data_elsewhere_stays_with_its_owner(workspace: Workspace, tmp_path: Path) -> None:
    shutil.copytree(workspace.dataset_folder, tmp_path / "mine")
    moved = Workspace.open(workspace.root, (f"dataset.folder={tmp_path / 'mine'}",))
    record = (workspace.root / "data.dvc").read_bytes()
    assert add_data(moved) == folder_hash(tmp_path / "mine")
    assert (workspace.root / "data.dvc").read_bytes() == record


def test_no_data_says_what_to_do(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "data")
    with pytest.raises(VersioningError, match="rabtriever init"):
        add_data(workspace)


def test_analytics_stay_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def run(*_: object, env: dict[str, str], **__: object) -> subprocess.CompletedProcess[str]:
        seen.update(env)
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(recording.subprocess, "run", run)
    run_dvc(tmp_path, "status")
    assert seen["DVC_NO_ANALYTICS"] == "1"
    assert seen["PATH"] == os.environ["PATH"]


def test_git_that_comes_after_the_workspace_is_learnt(tmp_path: Path) -> None:
    init_dvc(tmp_path)
    assert "no_scm" in (tmp_path / ".dvc" / "config").read_text()
    git(tmp_path, "init", "--quiet")
    init_dvc(tmp_path)
    assert "no_scm" not in (tmp_path / ".dvc" / "config").read_text()
    (tmp_path / "file").write_text("content")
    run_dvc(tmp_path, "add", "file")
    assert "/file" in (tmp_path / ".gitignore").read_text().splitlines()
    git(tmp_path, "add", "--all")
    assert not any("cache" in name for name in git(tmp_path, "ls-files").split())


def test_a_repository_that_ignores_the_ledger_stays_without_git(tmp_path: Path) -> None:
    """As the repository of this package does: DVC refuses a dvc.lock that git ignores."""
    init_dvc(tmp_path)
    (tmp_path / ".gitignore").write_text("/dvc.lock\n")
    git(tmp_path, "init", "--quiet")
    init_dvc(tmp_path)
    assert "no_scm" in (tmp_path / ".dvc" / "config").read_text()


def test_a_project_that_failed_half_way_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_late(root: Path, *arguments: str) -> str:
        if arguments[:2] == ("remote", "add"):
            raise VersioningError("no room")
        return run_dvc(root, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "run_dvc", fails_late)
        with pytest.raises(VersioningError, match="no room"):
            init_dvc(tmp_path)
    init_dvc(tmp_path)
    # A long path is broken into lines.
    assert "dvc_remote" in run_dvc(tmp_path, "remote", "list").replace("\n", "")
