"""Past versions of the data run apart from what is served, and stand side by side."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rabtriever_core.automation import data_versions
from rabtriever_core.automation.data_versions import (
    Version,
    measure_versions,
    table_rows,
    version_md5,
    write_comparison,
)
from rabtriever_core.dvc.initialize import prepare_data
from rabtriever_core.dvc.recording import data_md5, run_dvc
from rabtriever_core.errors import ConfigError, DatasetError, VersioningError
from rabtriever_core.evaluation.results import Results
from rabtriever_core.workspace import Workspace


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.org"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def commit_data(workspace: Workspace, tag: str) -> str:
    """Record the data as they are, and tag the commit."""
    md5 = prepare_data(workspace)
    git(workspace.root, "add", "data.dvc")
    git(workspace.root, "commit", "-m", tag)
    git(workspace.root, "tag", tag)
    return md5


def add_query(workspace: Workspace, name: str) -> None:
    with (workspace.dataset_folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"_id": name, "text": f"a new query {name}"}) + "\n")


@pytest.fixture
def versioned(workspace: Workspace) -> tuple[Workspace, list[str]]:
    """A workspace in git with two versions of its data."""
    params = workspace.root / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["dataset"]["demo"] = False
    params.write_text(yaml.safe_dump(values))
    workspace = Workspace.open(workspace.root)
    git(workspace.root, "init", "-q")
    first = commit_data(workspace, "v1")
    add_query(workspace, "n1")
    return workspace, [first, commit_data(workspace, "v2")]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """Stands in for the stages: where they ran, and on which queries; the third line is broken."""
    ran: list[tuple[Path, str]] = []

    def run(workspace: Workspace, stage: str) -> Any:
        text = (workspace.dataset_folder / "queries.jsonl").read_text()
        if stage == "validated_dataset":
            ran.append((workspace.root, text))
        if "UNREADABLE" in text:
            raise DatasetError("queries.jsonl, line 3: not valid JSON")
        metrics = {"documents": 8, "queries": {"train": text.count("\n")}}
        return type("Artifact", (), {"meta": type("Meta", (), {"metrics": metrics})})

    def read(_: Path) -> Results:
        quality = {"MRR@10": 0.25 * len(ran)}
        systems = {"student": {"metrics": quality}, "teacher": {"metrics": quality}}
        return Results(Path(), {"splits": {"test": {"systems": systems}}}, {"test": {}})

    monkeypatch.setattr(data_versions, "run_stage", run)
    monkeypatch.setattr(data_versions.Results, "read", read)
    return ran


def test_each_version_runs_on_its_own_bytes_and_the_workspace_stays(
    versioned: tuple[Workspace, list[str]], seen: list[tuple[Path, str]]
) -> None:
    workspace, md5s = versioned
    before = (workspace.dataset_folder / "queries.jsonl").read_text()
    found = measure_versions(workspace, ["v1", "v2"])
    assert [version.md5 for version in found] == md5s
    assert [version.problem for version in found] == ["", ""]
    (old_root, old), (new_root, new) = seen
    assert new == before == old + new.splitlines()[-1] + "\n"
    assert "n1" in new.splitlines()[-1]
    assert old_root != new_root
    assert all(root.is_relative_to(workspace.work) for root in (old_root, new_root))
    assert [version.quality["test"]["student"] for version in found] == [0.25, 0.5]
    assert data_md5(workspace.root) == md5s[1]
    assert (workspace.dataset_folder / "queries.jsonl").read_text() == before
    assert git(workspace.root, "status", "--porcelain", "data.dvc") == ""


def test_bytes_that_only_a_remote_has_are_pulled(
    versioned: tuple[Workspace, list[str]], seen: list[tuple[Path, str]], tmp_path: Path
) -> None:
    workspace, md5s = versioned
    run_dvc(workspace.root, "remote", "add", "-d", "store", "../store")
    run_dvc(workspace.root, "push", "data.dvc")
    shutil.rmtree(workspace.root / ".dvc" / "cache")
    assert (tmp_path / "store").is_dir()
    (version,) = measure_versions(workspace, [md5s[1].removesuffix(".dir")])
    assert version.problem == ""
    assert "n1" in seen[0][1]


@pytest.mark.slow
def test_a_version_without_figures_says_why_and_the_next_goes_on(
    versioned: tuple[Workspace, list[str]], seen: list[tuple[Path, str]]
) -> None:
    workspace, _ = versioned
    add_query(workspace, "UNREADABLE")
    commit_data(workspace, "v3")
    gone = "0" * 32
    found = measure_versions(workspace, [gone, "v3", "v1"])
    assert "dvc pull" in found[0].problem
    assert found[1].problem == "queries.jsonl, line 3: not valid JSON"
    assert found[2].quality


def test_names_that_lead_nowhere_are_refused_at_once(
    versioned: tuple[Workspace, list[str]], seen: list[tuple[Path, str]]
) -> None:
    workspace, md5s = versioned
    assert version_md5(workspace.root, "HEAD~1") == md5s[0]
    for name in ("v9", "--output=x", "v1:other"):
        with pytest.raises(VersioningError, match="expected a git revision"):
            measure_versions(workspace, ["v1", name])
    with pytest.raises(ConfigError, match="at least one"):
        measure_versions(workspace, [])
    assert seen == []
    assert not (workspace.root / "x").exists()


def test_figures_of_other_queries_are_marked(tmp_path: Path) -> None:
    def version(name: str, value: float, queries: str, **more: Any) -> Version:
        quality = {"test": {"student": value}}
        return Version(name=name, md5="ab" * 16, quality=quality, queries={"test": queries}, **more)

    versions = [
        version("v1", 0.5, "old"),
        Version(name="v2", md5="cd" * 16, problem="no bytes"),
        version("v3", 0.625, "new", documents=7),
    ]
    rows = table_rows(versions)
    assert [row["test MRR@10"] for row in rows] == ["0.5000 *", "", "0.6250"]
    path = write_comparison(versions, tmp_path)
    assert json.loads(path.read_text())["rows"] == rows
    assert "| v2 | cdcdcdcd |  |  |  | 0 | no bytes |" in path.with_suffix(".md").read_text()
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
