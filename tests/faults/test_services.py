"""Services that are away or die: DVC's remote, and Qdrant in the middle of what it is asked.

The remote is an HTTP server on loopback that is stopped and started again. Qdrant is stood in for
by a process that speaks its REST interface (qdrant_standin.py), since no package ships the server:
the client, its retries and our code are the real ones, and the process is really killed.
"""

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.errors import IndexUnavailableError, ReleaseError
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.log import last_served, read_log
from rabtriever_core.releases.promotion import promote, restore, rollback
from rabtriever_core.releases.record import read_releases
from rabtriever_core.releases.store import part_folder
from rabtriever_core.stages import run_stage
from rabtriever_core.workspace import Workspace
from tests.faults.conftest import Cell, answers
from tests.faults.injection import free_port, qdrant
from tests.faults.matrix import READER, RELEASE, RESTORE, ROLLBACK, cells

pytestmark = pytest.mark.slow

AWAY = r"Qdrant at http://127\.0\.0\.1:\d+ cannot be reached .* start it or unset QDRANT_URL"


@contextlib.contextmanager
def remote_at(port: int, folder: Path) -> Iterator[None]:
    """A folder as a read-only DVC remote over HTTP."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", port), partial(Handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("column", cells("DVC remote down"))
def test_dvc_remote_down(cell: Cell, tmp_path: Path, column: str) -> None:
    workspace, port = cell.workspace, free_port()
    run_dvc(workspace.root, "remote", "add", "disk", str(tmp_path / "remote"))
    run_dvc(workspace.root, "push", "--remote", "disk")
    run_dvc(workspace.root, "remote", "add", "--default", "away", f"http://127.0.0.1:{port}")
    if column == RELEASE:  # needs no remote
        promote(workspace, by="test")
        assert answers(workspace) == cell.promoted
        return
    release = read_releases(workspace)[cell.served[0]]
    shutil.rmtree(part_folder(workspace, release.parts["student"]))
    shutil.rmtree(workspace.root / ".dvc" / "cache")
    if column == READER:
        with pytest.raises(ReleaseError, match=r"student missing or damaged.*releases restore"):
            answers(workspace)
    with pytest.raises(ReleaseError, match=r"student neither in DVC's cache nor in a remote"):
        restore(workspace, by="eve")
    with remote_at(port, tmp_path / "remote"):
        restore(workspace, by="eve")
    assert cell.is_served_as_before()


@pytest.fixture
def on_a_server(cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cell:
    """The same, its Qdrant behind a URL; nothing listens there yet."""
    storage = tmp_path / "storage"
    shutil.copytree(cell.workspace.qdrant, storage)
    (storage / ".rabtriever.lock").unlink(missing_ok=True)
    monkeypatch.setenv("QDRANT_URL", f"http://127.0.0.1:{free_port()}")
    workspace = Workspace.open(cell.workspace.root)
    return Cell(workspace, cell.hashes, cell.served, cell.promoted)


def _port(cell: Cell) -> int:
    return int(str(cell.workspace.settings.index.url).rpartition(":")[2])


@contextlib.contextmanager
def _up(cell: Cell, tmp_path: Path, die: str = "") -> Iterator[None]:
    with qdrant(tmp_path / "storage", _port(cell), die):
        yield


@pytest.fixture
def built(on_a_server: Cell, tmp_path: Path) -> Cell:
    """The candidate built again for the server (another URL is another setting)."""
    with _up(on_a_server, tmp_path):
        for stage in ("document_embeddings", "calibration", "qdrant_collection"):
            run_stage(on_a_server.workspace, stage)
        run_stage(on_a_server.workspace, "benchmark_report")
        assert on_a_server.is_served_as_before()
    return on_a_server


@pytest.mark.parametrize("column", cells("Qdrant down"))
def test_qdrant_down(built: Cell, tmp_path: Path, column: str) -> None:
    workspace = built.workspace

    def work() -> object:
        if column == RELEASE:
            return promote(workspace, by="test")
        if column == ROLLBACK:
            return rollback(workspace, "1", by="eve")
        if column == READER:
            return answers(workspace)
        return run_stage(workspace, column, force=True)

    with pytest.raises(IndexUnavailableError, match=AWAY):
        work()
    with _up(built, tmp_path):
        assert built.is_served_as_before()
        work()
        expected = built.promoted if column == RELEASE else built.served
        assert answers(workspace)[1] == expected[1]


@pytest.mark.parametrize("when", ["before", "after"])
def test_qdrant_dies_mid_upload(built: Cell, tmp_path: Path, when: str, monkeypatch) -> None:
    monkeypatch.setenv("RABTRIEVER_INDEX__BATCH_SIZE", "2")
    workspace = Workspace.open(built.workspace.root)
    with _up(built, tmp_path), connect(workspace.settings.index, workspace.qdrant) as client:
        client.delete_collection(built.collection)
    with (
        _up(built, tmp_path, f"upsert:3:{when}"),
        pytest.raises(IndexUnavailableError, match=AWAY),
    ):
        run_stage(workspace, "qdrant_collection", force=True)
    with _up(built, tmp_path):
        assert built.is_served_as_before()
        with connect(workspace.settings.index, workspace.qdrant) as client:
            assert client.count(built.collection).count == (4 if when == "before" else 6)
        run_stage(workspace, "qdrant_collection", force=True)
        run_stage(workspace, "benchmark_report")
        promote(workspace, by="test")
        assert answers(workspace)[1] == built.promoted[1]


def test_qdrant_dies_mid_upload_of_a_rollback(built: Cell, tmp_path: Path) -> None:
    workspace = built.workspace
    with _up(built, tmp_path):
        promote(workspace, by="test")
        old = read_releases(workspace)[built.served[0]]
        with connect(workspace.settings.index, workspace.qdrant) as client:
            client.delete_collection(old.collection)
    with (
        _up(built, tmp_path, "upsert:1:after"),
        pytest.raises(IndexUnavailableError, match=AWAY),
    ):
        rollback(workspace, by="eve")
    with _up(built, tmp_path):
        assert answers(workspace)[1] == built.promoted[1]
        assert rollback(workspace, by="eve").id == built.served[0]
        assert built.is_served_as_before()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("column", cells("Qdrant dies mid-switch"))
def test_qdrant_dies_mid_switch(built: Cell, tmp_path: Path, column: str, when: str) -> None:
    workspace, switched = built.workspace, when == "after"
    if column == ROLLBACK:
        with _up(built, tmp_path):
            promote(workspace, by="test")

    def work() -> object:
        if column == RELEASE:
            return promote(workspace, by="test")
        return rollback(workspace, built.served[0], by="eve")

    before, after = built.served[1], built.promoted[1]
    if column == ROLLBACK:
        before, after = after, before
    with (
        _up(built, tmp_path, f"switch:1:{when}"),
        pytest.raises(IndexUnavailableError, match=AWAY),
    ):
        work()
    with _up(built, tmp_path):
        found = answers(workspace)
        assert found[1] == (after if switched else before)
        work()
        found = answers(workspace)
        assert found[1] == after
        assert last_served(read_log(workspace)) == found[0]


def test_every_cell_is_there() -> None:
    assert set(cells("Qdrant dies mid-upload")) == {"qdrant_collection", ROLLBACK}
    assert set(cells("DVC remote down")) == {RELEASE, RESTORE, READER}
