"""`rabtriever init`: from nothing to a workspace, and nothing changed when run again."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rabtriever_core.data.demo import write_demo
from rabtriever_core.dvc import recording
from rabtriever_core.dvc.initialize import init_workspace, prepare_data
from rabtriever_core.dvc.recording import data_md5
from rabtriever_core.errors import ConfigError, DatasetError, VersioningError
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from rabtriever_core.workspace.edit_params import write_dataset_settings


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A user's data set, with files that are not part of the layout."""
    folder = tmp_path / "my data (v2)"
    write_demo(folder)
    (folder / "notes.txt").write_text("mine")
    return folder


def snapshot(root: Path) -> dict[str, str]:
    return {
        path: md5
        for path, md5 in folder_md5s(root).items()
        if not path.startswith((".dvc/tmp", ".work"))
    }


def test_run_again_nothing_changes_and_dvc_is_not_called(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(workspace.root)
    monkeypatch.setattr(recording, "run_dvc", lambda *_: pytest.fail("nothing changed"))
    assert init_workspace(workspace.root).settings.dataset.demo
    assert snapshot(workspace.root) == before


def test_settings_that_cannot_be_read_are_named(workspace: Workspace) -> None:
    (workspace.root / "params.yaml").write_text("runtime: [")
    with pytest.raises(ConfigError, match=r"params\.yaml is not valid YAML: .*line 1, column"):
        init_workspace(workspace.root)


def test_the_demo_with_macos_leftovers_is_still_the_demo(workspace: Workspace) -> None:
    for name in (".DS_Store", "._corpus.jsonl", "qrels/._train.tsv"):
        (workspace.dataset_folder / name).write_bytes(b"\x00\x05\x16\x07")
    init_workspace(workspace.root)
    with (workspace.dataset_folder / "queries.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(VersioningError, match="does not hold the bytes"):
        init_workspace(workspace.root)


def test_git_that_comes_later_takes_no_bytes_that_dvc_keeps(workspace: Workspace) -> None:
    (workspace.root / "releases" / "store" / "ab12").mkdir(parents=True)
    (workspace.root / "releases" / "store" / "ab12" / "weights").touch()
    (workspace.root / "releases" / "store" / "ab12.dvc").touch()
    assert (workspace.root / ".dvc" / "cache").is_dir()
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=workspace.root, check=True)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=workspace.root, check=True, capture_output=True, text=True
    )
    kept = listed.stdout.split()
    assert {"params.yaml", "data.dvc", "dvc.yaml", "releases/store/ab12.dvc"} <= set(kept)
    assert not [name for name in kept if name.startswith((".dvc/cache", ".dvc/tmp", "data/"))]
    assert "releases/store/ab12/weights" not in kept


def test_own_data_replaces_the_demo_and_follows_its_source(
    workspace: Workspace, beir: Path
) -> None:
    params = workspace.root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 17", "seed: 5"))
    opened = init_workspace(workspace.root, beir)
    assert opened.settings.dataset.name == "my-data-v2"
    assert opened.settings.dataset.folder == Path("data/my-data-v2")
    assert not opened.settings.dataset.demo
    assert opened.settings.runtime.seed == 5
    assert not (opened.dataset_folder / "notes.txt").exists()
    first, text = data_md5(opened.root), params.read_text()

    (beir / "qrels" / "test.tsv").unlink()
    with (beir / "queries.jsonl").open("a") as file:
        file.write('{"_id": "new", "text": "a new query"}\n')
    again = init_workspace(workspace.root, beir)
    assert not (again.dataset_folder / "qrels" / "test.tsv").exists()
    assert '"a new query"' in (again.dataset_folder / "queries.jsonl").read_text()
    assert data_md5(again.root) != first
    assert params.read_text() == text


def test_data_that_lies_in_the_workspace_already_is_not_copied(workspace: Workspace) -> None:
    mine = workspace.root / "data" / "mine"
    shutil.copytree(workspace.dataset_folder, mine)
    opened = init_workspace(workspace.root, mine)
    assert opened.dataset_folder == mine
    assert (mine / "README.md").exists()


def test_changed_demo_is_refused_until_accepted(workspace: Workspace) -> None:
    (workspace.dataset_folder / "queries.jsonl").write_text("{}\n")
    with pytest.raises(VersioningError, match="--accept-data"):
        init_workspace(workspace.root)
    init_workspace(workspace.root, accept_data=True)
    init_workspace(workspace.root)


def test_missing_demo_is_written_whole(workspace: Workspace) -> None:
    recorded = data_md5(workspace.root)
    shutil.rmtree(workspace.root / "data")
    (workspace.work / "demo").mkdir(parents=True)
    (workspace.work / "demo" / "corpus.jsonl").write_text("cut off")
    assert prepare_data(workspace) == recorded


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("", "no such folder"),
        ("qrels", "no qrels in"),
        ("corpus.jsonl", "no corpus.jsonl in"),
        ("queries.jsonl", "no queries.jsonl in"),
    ],
)
def test_unusable_data_is_refused_before_anything_is_written(
    beir: Path, tmp_path: Path, missing: str, message: str
) -> None:
    path = beir / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatasetError, match=message):
        init_workspace(tmp_path / "work", beir)
    assert not (tmp_path / "work").exists()


def test_a_name_that_cannot_name_a_collection_is_refused(tmp_path: Path) -> None:
    write_demo(tmp_path / "数据")
    with pytest.raises(DatasetError, match="no usable name"):
        init_workspace(tmp_path / "work", tmp_path / "数据")


def test_only_the_dataset_section_is_rewritten(workspace: Workspace) -> None:
    params = workspace.root / "params.yaml"
    before = params.read_text().splitlines()
    write_dataset_settings(params, {"name": "mine", "folder": "data/mine", "demo": False})
    after = params.read_text().splitlines()
    changed = [
        new.split(":")[0].strip()
        for old, new in zip(before, after, strict=True)
        if old.split("#")[0].split() != new.split("#")[0].split()
    ]
    assert changed == ["name", "folder", "demo"]
    assert [line for line in after if line.startswith("#")] == [
        line for line in before if line.startswith("#")
    ]
