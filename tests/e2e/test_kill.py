"""`kill -9` in the middle, the same command again: it resumes, and the result is the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rabtriever_core.data.dataset import Document, write_dataset
from rabtriever_core.index.aliases import alias_target
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages import STAGES, run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash
from tests.asking import ask
from tests.core.small import small_dataset
from tests.e2e.conftest import small_workspace


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Workspace:
    """Longer training than elsewhere, so that there is time to kill it."""
    workspace = small_workspace(tmp_path_factory.mktemp("kill") / "work", small_data)
    params = workspace.root / "params.yaml"
    params.write_text(params.read_text().replace("max_steps: 30", "max_steps: 60").replace(
        "min_steps: 30", "min_steps: 60"))  # fmt: skip
    workspace = Workspace.open(workspace.root)
    for stage in ("validated_dataset", "backbone", "bi_encoder"):
        run_stage(workspace, stage)
    return workspace


def _run(workspace: Workspace, stage: str, *flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rabtriever_core.cli", "run", stage, *flags]
    return subprocess.Popen(
        [*command, "-w", str(workspace.root)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def _kill_when(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, f"ended before it could be killed: {process.stdout.read()}"
        assert time.monotonic() < deadline, "never got so far"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["teacher", "student"])
def test_killed_training_resumes_to_the_same_bytes(prepared, tmp_path, stage) -> None:
    if stage == "student":
        run_stage(prepared, "teacher")
    killed = Workspace.open(shutil.copytree(prepared.root, tmp_path / "killed"))
    process = _run(killed, stage)
    _kill_when(
        process,
        lambda: any(killed.work.glob(f"{stage}/*/checkpoints/**/checkpoint-1*/md5s.json")),
    )
    assert not killed.artifact(stage).exists()
    assert "resumes from checkpoint-" in _finish(_run(killed, stage))
    run_stage(prepared, stage)
    assert folder_hash(killed.artifact(stage)) == folder_hash(prepared.artifact(stage))


@pytest.mark.slow
@pytest.mark.parametrize("written", [1, 600_000], ids=["created", "half-full"])
def test_killed_upload_leaves_the_old_collection_served(tmp_path, written) -> None:
    small = small_dataset()
    # Enough documents that an upload, one point at a time, can be caught in its middle.
    filler = [Document(f"filler-{i}", f"Note {i} about weather {i % 97}.") for i in range(2000)]
    write_dataset(replace(small, documents=(*small.documents, *filler)), tmp_path / "many")
    workspace = small_workspace(tmp_path / "work", tmp_path / "many")
    for stage in STAGES:
        run_stage(workspace, stage.name)
    promote(workspace, by="test")
    asked = small.queries["test-grief-night-5"]
    before = ask(workspace, asked, k=10).hits
    (old,) = [path.name for path in (workspace.qdrant / "collection").iterdir()]
    change = ("--set", "student.mse_weight=0.1", "--set", "index.batch_size=1")
    for stage in ("student", "document_embeddings", "calibration"):
        _finish(_run(workspace, stage, *change))
    uninterrupted = Workspace.open(shutil.copytree(workspace.root, tmp_path / "uninterrupted"))
    for stage in ("qdrant_collection", "benchmark_report"):
        _finish(_run(uninterrupted, stage, *change))
    promote(uninterrupted, by="test")
    expected = ask(uninterrupted, asked, k=10).hits
    assert expected != before

    process = _run(workspace, "qdrant_collection", *change)
    _kill_when(process, lambda: _bytes_uploaded(workspace, old) >= written)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        assert alias_target(client, workspace.alias) == old
        assert client.count(old, exact=True).count == len(small.documents) + len(filler)
        # Killed at once, it is a folder that Qdrant does not know of yet.
        for half in {c.name for c in client.get_collections().collections} - {old}:
            assert client.count(half, exact=True).count < len(small.documents) + len(filler)

    assert ask(workspace, asked, k=10).hits == before
    for stage in ("qdrant_collection", "benchmark_report"):
        _finish(_run(workspace, stage, *change))
    promote(workspace, by="test")
    with connect(workspace.settings.index, workspace.qdrant) as client:
        served = alias_target(client, workspace.alias)
        assert served not in (None, old)
        assert client.count(served, exact=True).count == len(small.documents) + len(filler)
    assert ask(workspace, asked, k=10).hits == expected


def _bytes_uploaded(workspace: Workspace, old: str) -> int:
    files = (workspace.qdrant / "collection").glob("*/storage.sqlite")
    return sum(path.stat().st_size for path in files if path.parent.name != old)


def _finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return output
