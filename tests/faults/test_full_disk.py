"""A full disk: named as such, nothing half-written kept, what is served answers, a retry ends.

The disk is a small tmpfs, mounted for the test; without the right to mount one these are skipped.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rabtriever_core.dvc.recording import record_stage, run_dvc
from rabtriever_core.errors import DiskFullError
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.stages import run_stage
from tests.faults.conftest import Cell, answers
from tests.faults.injection import no_room_on, small_disk
from tests.faults.matrix import READER, RECORD, RELEASE, ROLLBACK, STAGE_NAMES, cells

pytestmark = pytest.mark.slow

FULL = r"the disk of .* is full \(.* MiB left\): .* was stopped, .*make room .*run it again"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 64) as folder:
        yield folder


@pytest.fixture
def cell(disk: Path, on: Callable[[Path], Cell]) -> Cell:
    return on(disk / "work")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("stage", [c for c in cells("full disk") if c in STAGE_NAMES])
def test_a_stage(cell: Cell, disk: Path, stage: str) -> None:
    artifact = cell.workspace.artifact(stage)
    room = _size(artifact) // 2
    workspace = cell.without(stage).workspace
    for left in (0, room):
        with no_room_on(disk, left):
            with pytest.raises(DiskFullError, match=FULL):
                run_stage(workspace, stage)
            assert cell.is_served_as_before()
            assert not artifact.exists()
            assert not list((workspace.work / artifact.name).glob("*/output"))
    run_stage(workspace, stage)
    assert cell.is_what_it_should_be(stage)


def test_record(cell: Cell, disk: Path) -> None:
    """A ledger that has to grow; in the room that it has, DVC writes it on a full disk, too."""
    workspace = cell.workspace
    (workspace.root / "dvc.lock").unlink()
    with no_room_on(disk):
        with pytest.raises(DiskFullError, match=FULL):
            record_stage(workspace, "student")
        assert not (workspace.root / "dvc.lock").exists(), "a torn one stops every command of DVC"
        assert cell.is_served_as_before()
    for stage in STAGE_NAMES:
        record_stage(workspace, stage)
    assert "up to date" in run_dvc(workspace.root, "status")


@pytest.mark.parametrize("left", [0, 100_000, 1_000_000])
def test_release(cell: Cell, disk: Path, left: int) -> None:
    workspace = cell.workspace
    with no_room_on(disk, left):
        with pytest.raises(DiskFullError, match=FULL):
            promote(workspace, by="test")
        assert cell.is_served_as_before()
        assert not any((workspace.work / "release").glob("*"))
    promote(workspace, by="test")
    assert answers(workspace) == cell.promoted


def test_rollback(cell: Cell, disk: Path) -> None:
    """Going back has to write little: it succeeds, or what is served stays."""
    workspace = cell.workspace
    promote(workspace, by="test")
    with no_room_on(disk):
        with pytest.raises(DiskFullError, match=FULL):
            rollback(workspace, by="eve")
        assert answers(workspace) in (cell.served, cell.promoted)
    rollback(workspace, cell.served[0], by="eve")
    assert answers(workspace) == cell.served


def test_reader(cell: Cell, disk: Path) -> None:
    """Asking takes no room."""
    with no_room_on(disk):
        assert cell.is_served_as_before()


def test_every_cell_is_there() -> None:
    assert set(cells("full disk")) == {*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, READER}
