"""Two runs of the same thing at once: one does it, the other waits, finds it done, or is told."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from rabtriever_core.dvc.recording import record_stage, run_dvc
from rabtriever_core.errors import StageBusyError
from rabtriever_core.releases.log import SERVING, read_log
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash
from tests.faults.conftest import Cell, answers
from tests.faults.injection import in_a_process
from tests.faults.matrix import RECORD, RELEASE, ROLLBACK, STAGE_NAMES, cells

pytestmark = pytest.mark.slow

BUSY = "StageBusyError: another process is building"


def at_once(work: Callable[[], Any], others: Callable[[], Any] | None = None) -> list[str]:
    """What two processes said that did something at the same time."""
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda w=w: said.append(in_a_process(w)))
        for w in (work, others or work)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


@pytest.mark.parametrize("stage", [c for c in cells("two at once") if c in STAGE_NAMES])
def test_a_stage(cell: Cell, stage: str) -> None:
    workspace = cell.without(stage).workspace
    said = at_once(lambda: f"built {run_stage(workspace, stage).reused}")
    assert all(text.startswith((BUSY, "built", "IndexUnavailableError: ")) for text in said), said
    assert "built False" in said
    run_stage(workspace, stage)
    assert cell.is_what_it_should_be(stage)
    assert cell.is_served_as_before()


def test_inputs_that_change_meanwhile(cell: Cell) -> None:
    """What was named at the start and what was read later are told apart."""
    workspace = cell.without("calibration").workspace
    changed = Workspace.open(workspace.root, ("student.reverse_kl_weight=0.9",))
    ready = workspace.root / "ready"

    def paused() -> str:
        from rabtriever_core.stages import calibration

        make = calibration.make

        def slow(context: Any) -> Any:
            ready.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
            return make(context)

        calibration.make = slow
        return str(run_stage(workspace, "calibration"))

    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(in_a_process(paused)))
    thread.start()
    while not ready.exists() or not ready.read_text():
        time.sleep(0.01)
    run_stage(changed, "student")
    os.kill(int(ready.read_text()), signal.SIGCONT)
    thread.join()
    assert said[0].startswith("StageBusyError: student changed while calibration was"), said
    assert not workspace.artifact("calibration").exists()
    run_stage(changed, "calibration")
    assert cell.is_served_as_before()


def test_record(cell: Cell) -> None:
    workspace = cell.workspace
    said = at_once(
        lambda: record_stage(workspace, "student"),
        lambda: record_stage(workspace, "document_embeddings"),
    )
    assert sorted(said) == sorted(cell.hashes[s] for s in ("student", "document_embeddings"))
    for stage in STAGE_NAMES:
        record_stage(workspace, stage)
    assert "up to date" in run_dvc(workspace.root, "status")


def test_release(cell: Cell) -> None:
    workspace = cell.workspace
    said = at_once(lambda: promote(workspace, by="test").decision)
    assert "promoted" in said
    assert all(t in ("promoted", "served already") or t.startswith(BUSY) for t in said), said
    assert answers(workspace) == cell.promoted
    assert [e.release for e in read_log(workspace) if e.action in SERVING] == [
        cell.served[0],
        cell.promoted[0],
    ]


def test_rollback(cell: Cell) -> None:
    """Two people go back by name: once is enough."""
    workspace = cell.workspace
    promote(workspace, by="test")
    said = at_once(lambda: rollback(workspace, cell.served[0], by="eve").id)
    assert cell.served[0] in said
    assert all(text == cell.served[0] or text.startswith(BUSY) for text in said), said
    assert answers(workspace) == cell.served


def test_promotion_while_the_stages_run(cell: Cell) -> None:
    """A retraining that changes the artifacts under a promotion cannot get into the release."""
    workspace = cell.workspace
    changed = Workspace.open(workspace.root, ("student.reverse_kl_weight=0.9",))
    said = at_once(
        lambda: promote(workspace, by="test").decision, lambda: run_stage(changed, "student").hash
    )
    assert any(text.endswith(".dir") for text in said), said
    found = answers(workspace)
    assert found in (cell.served, cell.promoted), said
    if found == cell.served:
        assert any(t.startswith("ArtifactError") for t in said), said
    shutil.rmtree(workspace.artifact("student"))
    run_stage(workspace, "student")
    assert folder_hash(workspace.artifact("student")) == cell.hashes["student"]


def test_a_held_lock_names_itself(cell: Cell) -> None:
    from rabtriever_core.workspace.artifacts import stage_lock

    workspace = cell.workspace
    with (
        stage_lock(workspace.work, "teacher"),
        pytest.raises(StageBusyError, match=r"another process is building `teacher`.*wait until"),
    ):
        run_stage(workspace, "teacher", force=True)


def test_every_cell_is_there() -> None:
    assert set(cells("two at once")) == {*STAGE_NAMES, RECORD, RELEASE, ROLLBACK}
