"""Dagster's daemon killed: what it had begun is ended once, and what is served goes on."""

import contextlib
import json
import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from dagster import DagsterEventType

from rabtriever_core.releases.record import read_releases
from rabtriever_core.workspace import Workspace
from tests.asking import ask
from tests.faults.conftest import QUERIES, Cell, answers
from tests.faults.deployment import Deployment
from tests.faults.injection import free_port, qdrant
from tests.faults.matrix import QUEUE, READER, RELEASE, TICK, cells

pytestmark = pytest.mark.slow


@dataclass
class Client:
    """Asks the served release all the while."""

    workspace: Workspace
    found: list[tuple[str, tuple[tuple[str, float], ...]]] = field(default_factory=list)
    """Release and hits of every answer."""
    errors: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask every other second until the end of the block."""
        stop = threading.Event()

        def ask_on() -> None:
            while not stop.wait(2):
                try:
                    answer = ask(self.workspace, QUERIES[0], 5)
                    hits = tuple((h.document_id, round(h.margin, 4)) for h in answer.hits)
                    self.found.append((answer.release.id, hits))
                except Exception as error:
                    self.errors.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=ask_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def add_a_document(workspace: Workspace) -> None:
    corpus = workspace.dataset_folder / "corpus.jsonl"
    new = {"_id": "rest-train", "text": "Suggest a pause and a seat by the window."}
    changed = corpus.with_name("changed")
    changed.write_text(corpus.read_text("utf-8") + json.dumps(new) + "\n", encoding="utf-8")
    changed.replace(corpus)


def let_new_data_settle(workspace: Workspace, seconds: int) -> None:
    params = workspace.root / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["automation"] |= {"watch_data": True, "watch_seconds": 5, "settle_seconds": seconds}
    params.write_text(yaml.safe_dump(values))


@pytest.fixture
def watching(cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cell]:
    """The sensor of new data is on, and Qdrant a server that many may ask at once."""
    let_new_data_settle(cell.workspace, 3600)
    storage, port = tmp_path / "storage", free_port()
    shutil.copytree(cell.workspace.qdrant, storage)
    (storage / ".rabtriever.lock").unlink(missing_ok=True)
    monkeypatch.setenv("QDRANT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with qdrant(storage, port):
        opened = Workspace.open(cell.workspace.root)
        yield Cell(opened, cell.hashes, cell.served, cell.promoted)


def test_killed_again_and_again(watching: Cell) -> None:
    assert set(cells("daemon killed")) == {TICK, QUEUE, "document_embeddings", RELEASE, READER}
    workspace, client = watching.workspace, Client(watching.workspace)
    with Deployment(workspace) as dagster, client.asking():

        def hanging_tick(*known: int) -> int:
            """Another that waits for the code location, which does not answer."""
            dagster.code.send_signal(signal.SIGSTOP)
            (found,) = dagster.wait(
                lambda: [
                    t.tick_id
                    for t in dagster.ticks("new_data")
                    if not t.is_completed and t.tick_id not in known
                ]
            )
            return int(found)

        # While the sensor is evaluated.
        daemon = dagster.start_daemon()
        dagster.wait(lambda: [t for t in dagster.ticks("new_data") if t.is_completed])
        add_a_document(workspace)
        lost = hanging_tick()
        dagster.kill(daemon)
        dagster.code.send_signal(signal.SIGCONT)

        # Between the tick's decision and the run: nobody can write to the table of runs.
        daemon = dagster.start_daemon()
        deciding = hanging_tick(lost)
        let_new_data_settle(workspace, 0)
        with contextlib.closing(
            sqlite3.connect(dagster.home / "history" / "runs.db", isolation_level=None)
        ) as table:
            table.execute("begin immediate")
            dagster.code.send_signal(signal.SIGCONT)
            dagster.wait(lambda: [t for t in dagster.ticks("new_data") if t.run_requests])
            dagster.kill(daemon)
            table.execute("rollback")
        assert dagster.runs() == []

        # While a run is in progress and another in the queue.
        daemon = dagster.start_daemon()
        first = dagster.wait(dagster.runs)[0]
        dagster.submit("canary_watch")
        at = dagster.events
        dagster.wait(lambda: at(first, DagsterEventType.STEP_START)["document_embeddings"])
        dagster.kill(daemon)
        second = dagster.runs()[1]
        assert (dagster.status(first), dagster.status(second)) == ("STARTED", "QUEUED")
        daemon = dagster.start_daemon()
        assert (dagster.status(first), dagster.status(second)) == ("STARTED", "QUEUED")

        # While the run promotes, which it goes on to do without a daemon.
        dagster.wait(lambda: at(first, DagsterEventType.STEP_START)["release"], 300)
        dagster.kill(daemon)
        dagster.wait(lambda: dagster.status(first) not in ("STARTED", "STARTING"))
        assert (dagster.status(first), dagster.status(second)) == ("SUCCESS", "QUEUED")
        new, _ = answers(workspace)
        assert new not in (watching.served[0], watching.promoted[0])

        dagster.start_daemon()
        dagster.wait(lambda: dagster.status(second) not in ("QUEUED", "STARTED", "STARTING"))
        seen = len(dagster.ticks("new_data"))
        dagster.wait(lambda: len(dagster.ticks("new_data")) > seen)
        assert [dagster.status(run) for run in dagster.runs()] == ["SUCCESS", "SUCCESS"]
        for run in (first, second):
            assert at(run, DagsterEventType.RUN_STARTING)[""] == 1
            assert at(run, DagsterEventType.RUN_START)[""] == 1
            assert set(at(run, DagsterEventType.STEP_START).values()) == {1}
        ticks = {t.tick_id: t for t in dagster.ticks("new_data")}
        requested = [t for t in ticks.values() if t.run_requests]
        assert {r for t in requested for r, _ in t.reserved_run_ids_with_requests} == {first.run_id}
        assert ticks[lost].status.value == "SKIPPED"
        assert first.tags["dagster/tick"] == str(deciding)

    assert client.errors == []
    releases = [release for release, _ in client.found]
    assert releases[0] == watching.served[0]
    assert releases[-1] == new
    assert releases == sorted(releases, key=[watching.served[0], new].index)
    assert len(set(client.found)) == 2, "each release always gave the same answer"
    assert set(read_releases(Workspace.open(workspace.root))) == {watching.served[0], new}


def test_killed_with_the_code_location_and_the_run(watching: Cell) -> None:
    """A machine that went down: the run is told to be dead, and those in the queue go on."""
    assert set(cells("deployment killed")) == {QUEUE, READER}
    with Deployment(watching.workspace) as dagster:
        daemon = dagster.start_daemon()
        dagster.submit("full_pipeline")
        (first,) = dagster.runs()
        dagster.wait(lambda: dagster.events(first, DagsterEventType.STEP_START))
        dagster.submit("canary_watch")
        dagster.kill(dagster.code)
        dagster.kill(daemon)
        assert [dagster.status(run) for run in dagster.runs()] == ["STARTED", "QUEUED"]
        assert watching.is_served_as_before()

        dagster.start_code()
        assert dagster.status(first) == "FAILURE"
        assert f"run {first.run_id} was killed before it ended: marked as failed" in dagster.said()
        dagster.start_daemon()
        second = dagster.runs()[1]
        dagster.wait(lambda: dagster.status(second) not in ("QUEUED", "STARTED", "STARTING"))
        assert [dagster.status(run) for run in dagster.runs()] == ["FAILURE", "SUCCESS"]
        assert dagster.events(first, DagsterEventType.RUN_START)[""] == 1
        assert watching.is_served_as_before()
