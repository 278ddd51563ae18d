"""DVC may link the files here with its cache: nothing that we write ever reaches what it keeps."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.data.feedback import Judgement, add_feedback
from rabtriever_core.dvc.initialize import init_workspace
from rabtriever_core.dvc.recording import add_data, record_stage, run_dvc
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from tests import standins
from tests.core.small import small_dataset


def _can_clone(folder: Path) -> bool:
    (folder / "a").touch()
    command = ["cp", "--reflink=always", "a", "b"]
    return not subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


@pytest.fixture(params=["hardlink", "symlink", "reflink"])
def linked(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """DVC set to link; after the test its whole cache is what its names say."""
    if request.param == "reflink" and not _can_clone(tmp_path):
        pytest.skip("this file system has no reflinks")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "dvc-settings"))
    (tmp_path / "dvc-settings").mkdir()
    (tmp_path / "dvc-settings" / "config").write_text(f"[cache]\n    type = {request.param}\n")
    yield request.param
    objects = [
        path
        for path in (tmp_path / "work" / ".dvc" / "cache" / "files" / "md5").rglob("*")
        if path.is_file()
    ]
    assert objects
    for path in objects:
        content = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        assert path.parent.name + path.name.removesuffix(".dir") == content, path


def _is_linked(path: Path, kind: str) -> bool:
    return path.is_symlink() if kind == "symlink" else path.stat().st_nlink > 1


def _change(source: Path) -> None:
    row = {"_id": "lift", "title": "Lift", "text": "Call the caretaker for the lift."}
    with (source / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def test_every_version_of_the_data_comes_back(linked: str, tmp_path: Path) -> None:
    source, root = tmp_path / "mine", tmp_path / "work"
    write_dataset(small_dataset(), source)
    workspace = init_workspace(root, source)
    corpus = workspace.dataset_folder / "corpus.jsonl"
    if linked != "reflink":
        assert _is_linked(corpus, linked), "else this shows nothing"
    versions = {(root / "data.dvc").read_text(): folder_md5s(workspace.dataset_folder)}

    _change(source)
    init_workspace(root, source)
    versions[(root / "data.dvc").read_text()] = folder_md5s(workspace.dataset_folder)
    judged = Judgement("q?", "lift", True, None, None, datetime(2026, 1, 2, tzinfo=UTC))
    assert add_feedback(workspace.dataset_folder, judged, workspace.work / "feedback.lock")
    add_data(workspace)
    versions[(root / "data.dvc").read_text()] = folder_md5s(workspace.dataset_folder)
    again = Judgement("q?", "lift", False, None, None, datetime(2026, 1, 2, tzinfo=UTC))
    assert add_feedback(workspace.dataset_folder, again, workspace.work / "feedback.lock")
    done = CliRunner().invoke(app, ["demo", str(workspace.dataset_folder)])
    assert done.exit_code == 0, done.output

    assert len(versions) == 3
    for recorded, files in versions.items():
        (root / "data.dvc").write_text(recorded)
        shutil.rmtree(root / "data")
        run_dvc(root, "checkout", "data.dvc")
        assert folder_md5s(workspace.dataset_folder) == files


def test_what_a_folder_is_linked_with_stays_as_it_is(linked: str, tmp_path: Path) -> None:
    source, shared, root = tmp_path / "mine", tmp_path / "shared", tmp_path / "work"
    write_dataset(small_dataset(), source)
    workspace = init_workspace(root, source)
    workspace.dataset_folder.rename(shared)
    workspace.dataset_folder.symlink_to(shared, target_is_directory=True)
    before = folder_md5s(shared)
    _change(source)
    init_workspace(root, source)
    assert folder_md5s(shared) == before
    assert folder_md5s(workspace.dataset_folder) == folder_md5s(source)


@pytest.mark.slow
def test_every_stage_and_release_is_written_beside(
    linked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, root = tmp_path / "mine", tmp_path / "work"
    write_dataset(small_dataset(), source)
    workspace = init_workspace(root, source)
    standins.install(monkeypatch)
    hashes = []
    for _ in range(2):
        for stage in STAGES:
            artifact = run_stage(workspace, stage.name, force=True)
            assert record_stage(workspace, stage.name) == artifact.hash
        hashes.append(artifact.hash)
        _change(source)
        workspace = init_workspace(root, source)
    assert Workspace.open(root).artifact("teacher").is_dir()
    assert hashes[0] != hashes[1] or linked == "reflink"
