"""`kill -9`: nothing half-written is loaded, what is served stays, the same command finishes."""

import pytest

from rabtriever_core.dvc.recording import record_stage, run_dvc
from rabtriever_core.errors import ArtifactError
from rabtriever_core.releases.log import last_served, read_log
from rabtriever_core.releases.promotion import promote, restore, rollback
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace.artifacts import load_artifact
from tests.faults.conftest import Cell, answers
from tests.faults.injection import (
    between_the_moves,
    finished_but_for_meta,
    first_write,
    in_a_process,
    rename_onto,
    seal_of_a_checkpoint,
)
from tests.faults.matrix import RECORD, RELEASE, RESTORE, ROLLBACK, STAGE_NAMES, TRAINED, cells

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", [c for c in cells("kill -9") if c in STAGE_NAMES])
def test_a_stage(cell: Cell, stage: str) -> None:
    workspace = cell.without(stage).workspace
    artifact = workspace.artifact(stage)
    scratch = workspace.work / artifact.name
    points = [first_write(scratch)]
    if stage in TRAINED:
        points.append(seal_of_a_checkpoint(scratch, "md5s.json"))
    points.append(finished_but_for_meta(scratch))
    for point in points:
        in_a_process(lambda: run_stage(workspace, stage), killed_at=point)
        with pytest.raises(ArtifactError, match="no artifact"):
            load_artifact(artifact)
        assert cell.is_served_as_before()
    assert not run_stage(workspace, stage).reused
    assert cell.is_what_it_should_be(stage)
    in_a_process(
        lambda: run_stage(workspace, stage, force=True), killed_at=between_the_moves(artifact)
    )
    assert cell.is_served_as_before()
    run_stage(workspace, stage)
    assert cell.is_what_it_should_be(stage)
    assert not scratch.exists()


def test_record(cell: Cell) -> None:
    """Killed while DVC records, dvc.lock is the old or the new one, and recording again mends."""
    workspace = cell.workspace
    before = (workspace.root / "dvc.lock").read_text()
    in_a_process(
        lambda: record_stage(workspace, "student"),
        killed_at=first_write(workspace.work),
    )
    assert (workspace.root / "dvc.lock").read_text() == before
    for stage in STAGE_NAMES:
        record_stage(workspace, stage)
    assert "up to date" in run_dvc(workspace.root, "status")
    assert cell.is_served_as_before()


def test_release(cell: Cell) -> None:
    """Between any two steps: tests/core/releases/test_kill.py. Here with models and DVC."""
    workspace = cell.workspace
    log = workspace.root / "releases" / "log.jsonl"
    meta = workspace.qdrant / "meta.json"
    points = [first_write(workspace.work / "release"), first_write(meta.parent), rename_onto(log)]
    seen = []
    for point in points:
        in_a_process(lambda: promote(workspace, by="test"), killed_at=point)
        found = answers(workspace)
        assert found in (cell.served, cell.promoted)
        seen.append(found[0])
    assert seen[0] == cell.served[0]
    assert seen[-1] == cell.promoted[0], "the switch comes before the log"
    promote(workspace, by="test")
    assert answers(workspace) == cell.promoted
    assert last_served(read_log(workspace)) == cell.promoted[0]


@pytest.mark.parametrize("column", [ROLLBACK, RESTORE])
def test_going_back(cell: Cell, column: str) -> None:
    workspace = cell.workspace
    promote(workspace, by="test")
    log = workspace.root / "releases" / "log.jsonl"

    def back() -> object:
        if column == ROLLBACK:
            return rollback(workspace, by="eve")
        return restore(workspace, cell.served[0], by="eve")

    in_a_process(back, killed_at=first_write(workspace.work))
    assert answers(workspace) == cell.promoted
    in_a_process(back, killed_at=rename_onto(log))
    assert answers(workspace) == cell.served, "the switch comes before the log"
    restore(workspace, cell.served[0], by="eve")
    assert answers(workspace) == cell.served
    assert last_served(read_log(workspace)) == cell.served[0]


def test_every_cell_is_there() -> None:
    tested = {*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, RESTORE}
    assert tested == set(cells("kill -9"))


def test_a_ledger_that_a_killed_dvc_left_torn_is_brought_back(cell: Cell) -> None:
    workspace = cell.workspace
    record_stage(workspace, "student")
    lock = workspace.root / "dvc.lock"
    whole = lock.read_bytes()
    # What a process leaves that is killed while DVC rewrites the file.
    (workspace.work / "dvc.lock.before").write_bytes(whole)
    for torn in (b"", whole[: len(whole) // 2].rpartition(b":")[0]):
        lock.write_bytes(torn)
        (workspace.work / "dvc.lock.before").write_bytes(whole)
        assert record_stage(workspace, "student") == cell.hashes["student"]
        assert lock.read_bytes() == whole
