"""`kill -9` between any two steps of a promotion: a reader gets one release whole."""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from rabtriever_core.index.connection import connect
from rabtriever_core.releases.log import last_served, read_log
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.served import served_release
from rabtriever_core.releases.serving import open_release
from rabtriever_core.workspace import Workspace
from tests.asking import ask
from tests.core.releases.conftest import Make

QUERIES = [f"tell {i}" for i in range(10, 14)]
# Functions that change something, ours and those of Qdrant's local mode.
STEPS = {
    "put",
    "_copy",
    "write_record",
    "append",
    "fetch",
    "open_release",
    "check_collection_of",
    "evaluate",
    "switch_alias",
    "update_collection",
    "update_collection_aliases",
    "_save",
    "retire",
    "sweep",
    "prune",
    "delete_collection",
}


def answers(workspace: Workspace) -> tuple[str, list[list[tuple[str, float]]]]:
    found = [ask(workspace, text, 5) for text in QUERIES]
    (release,) = {answer.release.id for answer in found}
    return release, [[(hit.document_id, hit.margin) for hit in a.hits] for a in found]


def promoted_in_a_process(workspace: Workspace, kill_at: int | None) -> int:
    """Promote in a child; killed at a step's start or end, or counting these. Returns the count."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        steps = 0

        def count(frame: FrameType, event: str, _: Any) -> None:
            nonlocal steps
            if event in ("call", "return") and frame.f_code.co_name in STEPS:
                steps += 1
                if steps == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        try:
            promote(workspace, by="child")
        finally:
            sys.setprofile(None)
            os.write(write, str(steps).encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == (kill_at is not None)
    return int(said or 0)


@pytest.mark.slow
def test_killed_anywhere_a_reader_gets_one_release_whole(make: Make, tmp_path: Path) -> None:
    old = promote(make(), by="ana").release
    workspace = make(salt=1, wrong=[])
    finished = Workspace(
        Path(shutil.copytree(workspace.root, tmp_path / "finished")), workspace.settings
    )
    steps = promoted_in_a_process(finished, None)
    assert steps > 40
    before, after = answers(workspace), answers(finished)
    assert before[0] == old.id != after[0]
    assert before[1] != after[1]
    seen = set()
    for kill_at in range(1, steps + 1):
        copy = Workspace(
            Path(shutil.copytree(workspace.root, tmp_path / f"{kill_at}")), workspace.settings
        )
        promoted_in_a_process(copy, kill_at)
        found = answers(copy)
        assert found in (before, after), f"a mixed answer after a kill at step {kill_at}"
        seen.add(found[0])
        promote(copy, by="again")
        assert answers(copy) == after
        assert last_served(read_log(copy)) == after[0]
        shutil.rmtree(copy.root)
    assert seen == {before[0], after[0]}


def test_a_reader_that_asked_before_the_switch_ends_with_what_it_began(make: Make) -> None:
    promote(make(), by="ana")
    workspace = make(salt=1)
    before = answers(workspace)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        opened = open_release(workspace, served_release(client, workspace))
    promote(workspace, by="ana")
    with connect(workspace.settings.index, workspace.qdrant) as client:
        found = opened.search(client, QUERIES, 5)
    assert [[(hit.document_id, hit.margin) for hit in hits] for hits in found] == before[1]
    assert answers(workspace)[0] != before[0]


@pytest.mark.parametrize("name", ["teacher", "document_embeddings"])
def test_a_half_copied_part_is_never_loaded(make: Make, tmp_path: Path, name: str) -> None:
    """A folder that a killed copy left in scratch is not the store's, and is copied again."""
    workspace = make()
    scratch = workspace.work / "release"
    promote(workspace, by="ana")
    shutil.rmtree(workspace.root / "releases")
    for part in (workspace.artifact(name),):
        shutil.copytree(part, scratch / "half")
        next((scratch / "half").iterdir()).unlink()
    promote(workspace, by="ana")
    assert ask(workspace, "tell 12", 1).hits[0].document_id == "d12"
