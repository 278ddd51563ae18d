"""Artifacts: reused by key, replaced in one move, never half, never foreign."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.errors import ArtifactError, StageBusyError
from rabtriever_core.workspace import artifacts
from rabtriever_core.workspace.artifacts import (
    META,
    Artifact,
    build_artifact,
    load_artifact,
    stated_artifact,
)
from rabtriever_core.workspace.identity import Identity


class Builder:
    """Builds one artifact and counts how often it was really made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made = 0

    def __call__(self, text: str = "content", **changes: Any) -> Artifact:
        """Build with the usual arguments but for these."""

        def make(output: Path, checkpoints: Path) -> dict[str, Any]:
            self.made += 1
            (output / "file.txt").write_text(text)
            (output / "sub").mkdir(exist_ok=True)
            (output / "sub" / "file.txt").write_text(text)
            (checkpoints / "left").touch()
            return {"value": 1.5}

        arguments: dict[str, Any] = {"work": self.root / ".work", "make": make, "reasons": ()}
        parts: dict[str, Any] = {
            "stage": "teacher",
            "version": 1,
            "config": {"a": {"b": 1}},
            "parents": {"backbone": "1.dir"},
            "dataset": "fingerprint",
        }
        own = {name: value for name, value in changes.items() if name in arguments}
        identity = Identity(**parts | {n: v for n, v in changes.items() if n not in own})
        folder = self.root / "artifacts" / "teacher"
        return build_artifact(folder, identity=identity, **arguments | own)


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def test_the_same_key_is_made_once(build: Builder) -> None:
    first, second = build(), build()
    assert (first.reused, second.reused, build.made) == (False, True, 1)
    assert first.hash == second.hash
    assert second.meta.metrics == {"value": 1.5}
    assert not (build.root / ".work" / "teacher").exists()


def test_other_libraries_and_another_release_of_this_package_make_nothing_anew(
    build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    first = build()
    monkeypatch.setattr(metadata, "version", lambda name: "99")
    assert build().reused
    assert first.meta.versions.keys() >= {"rabtriever", "torch"}


def test_an_artifact_says_why_it_was_built(build: Builder) -> None:
    assert build().reasons == ("not built yet",)
    assert build().reasons == ()
    assert build(version=2).reasons == ("the stage's code is version 2 (was 1)",)
    (build.root / "artifacts" / "teacher" / "file.txt").write_text("damaged")
    (reason,) = build(version=2).reasons
    assert reason.endswith("is damaged: file.txt differ")


def test_an_artifact_of_before_stages_had_versions_is_of_the_first(build: Builder) -> None:
    meta = build().meta
    old = meta.model_copy(update={"version": None}).sealed()
    written = json.loads(old.model_dump_json())
    del written["version"]  # there was no such field
    (build.root / "artifacts" / "teacher" / META).write_text(json.dumps(written))
    assert build().reused
    assert not build(version=2).reused


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"a": {"b": 2}}},
        {"parents": {"backbone": "2.dir"}},
        {"dataset": "other"},
        {"version": 2},
        {"reasons": ("asked for",)},
    ],
)
def test_whatever_shapes_the_result_makes_it_anew(build: Builder, changes: dict[str, Any]) -> None:
    build()
    assert not build(**changes).reused
    assert build.made == 2


def test_the_same_content_has_the_same_hash_wherever_it_is_made(tmp_path: Path) -> None:
    assert Builder(tmp_path / "a")().hash == Builder(tmp_path / "b")().hash


def test_an_artifact_states_its_hash_without_being_read(build: Builder) -> None:
    artifact = build()
    stated, hash_ = stated_artifact(artifact.folder)
    assert (stated.meta, hash_) == (artifact.meta, artifact.hash)
    (artifact.folder / "file.txt").unlink()
    assert stated_artifact(artifact.folder)[1] == hash_


def test_a_failed_run_leaves_the_old_artifact(build: Builder) -> None:
    old = build()

    def fail(output: Path, _: Path) -> dict[str, Any]:
        (output / "file.txt").write_text("half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        build(make=fail, dataset="other")
    assert load_artifact(old.folder).meta == old.meta
    assert (old.folder / "file.txt").read_text() == "content"


_KILLED = """
import pathlib, sys, time
from rabtriever_core.workspace.artifacts import build_artifact
from rabtriever_core.workspace.identity import Identity
root = pathlib.Path(sys.argv[1])
def make(output, checkpoints):
    resumed = (checkpoints / "step").exists()
    (checkpoints / "step").touch()
    (output / "file.txt").write_text("half")
    if not resumed:
        (root / "started").touch()
        time.sleep(60)
    (output / "file.txt").write_text("whole")
    return {"resumed": resumed}
artifact = build_artifact(
    root / "artifacts" / "teacher", work=root / ".work", make=make,
    identity=Identity(stage="teacher", version=1, config={}, parents={}, dataset="new"),
)
print(artifact.meta.metrics["resumed"])
"""


def test_kill_in_the_middle_leaves_the_old_artifact_and_the_next_run_resumes(
    build: Builder,
) -> None:
    old = build()
    command = [sys.executable, "-c", _KILLED, str(build.root)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 30
    while not (build.root / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(StageBusyError, match="another process is building `teacher`"):
        build(dataset="other")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert load_artifact(old.folder).meta == old.meta
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stdout.strip() == "True"
    assert (old.folder / "file.txt").read_text() == "whole"


def test_killed_between_the_two_moves_the_next_run_mends_it(
    build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build().folder

    def killed(new: Path, target: Path) -> None:
        target.rename(new.with_name(f"{new.name}.replaced"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(artifacts, "replace_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            build(dataset="other")
    assert not folder.exists()
    assert load_artifact(build(dataset="other").folder).meta.dataset == "other"


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "file.txt").write_text("changed"),
        lambda folder: (folder / "file.txt").unlink(),
        lambda folder: (folder / "more.txt").touch(),
        lambda folder: (folder / "meta.json").write_text("{"),
    ],
    ids=["changed", "missing", "added", "meta"],
)
def test_damage_is_named_and_mended_by_a_run(build: Builder, damage: Any) -> None:
    folder = build().folder
    damage(folder)
    with pytest.raises(ArtifactError, match=r"(?s)is damaged.*dvc checkout"):
        load_artifact(folder)
    assert not build().reused
    load_artifact(folder)


def test_wrong_parents_are_refused(build: Builder) -> None:
    folder = build().folder
    load_artifact(folder, parents={"backbone": "1.dir"})
    with pytest.raises(ArtifactError, match=r"made from backbone 1\.dir, .* is 2\.dir"):
        load_artifact(folder, parents={"backbone": "2.dir"})


def test_a_missing_artifact_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"`rabtriever run student`"):
        load_artifact(tmp_path / "student")
