"""`kill -9` in the middle, the same command again: it resumes, and the result is the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rabtriever_core.artifacts import folder_hash
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from tests.e2e.conftest import small_workspace


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Workspace:
    """Longer training than elsewhere, so that there is time to kill it."""
    workspace = small_workspace(tmp_path_factory.mktemp("kill") / "work", small_data)
    params = workspace.root / "params.yaml"
    params.write_text(params.read_text().replace("max_steps: 30", "max_steps: 60").replace(
        "min_steps: 30", "min_steps: 60"))  # fmt: skip
    workspace = Workspace.open(workspace.root)
    for stage in ("validated_dataset", "backbone"):
        run_stage(workspace, stage)
    return workspace


def _run(workspace: Workspace, stage: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "rabtriever_core.cli", "run", stage, "-w", str(workspace.root)],
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
        lambda: any(killed.work.glob(f"{stage}/*/checkpoints/**/checkpoint-1*/trainer_state.json")),
    )
    assert not killed.artifact(stage).exists()
    again = _run(killed, stage)
    output, _ = again.communicate(timeout=180)
    assert again.returncode == 0, output
    assert "resumes from checkpoint-" in output
    run_stage(prepared, stage)
    assert folder_hash(killed.artifact(stage)) == folder_hash(prepared.artifact(stage))
