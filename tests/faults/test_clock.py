"""A clock that goes backwards: no order and no freshness depends on it.

Every process of these tests reads a wall clock that starts ten years ago and falls by ten minutes
with every look at it (backward_clock.c, preloaded; skipped without a C compiler).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rabtriever_core.releases.log import read_log
from rabtriever_core.releases.record import read_releases
from tests.faults.conftest import Cell, answers
from tests.faults.matrix import READER, RECORD, RELEASE, ROLLBACK, STAGE_NAMES, cells

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backwards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process with such a clock."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    library = tmp_path_factory.mktemp("clock") / "backward_clock.so"
    source = Path(__file__).with_name("backward_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(library)}
    code = "import time; a = time.time(); b = time.time(); print(b < a)"
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert said.stdout == "True\n"
    return environment


def _python(cell: Cell, environment: dict[str, str], code: str) -> str:
    prelude = (
        "from pathlib import Path\n"
        "from rabtriever_core.workspace import Workspace\n"
        f"workspace = Workspace.open(Path({str(cell.workspace.root)!r}))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", prelude + code], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_all_stages_record_and_release(cell: Cell, backwards: dict[str, str]) -> None:
    """What is up to date stays so, what is missing is built to the same bytes, the order holds."""
    workspace = cell.workspace
    assert set(cells("clock backwards")) == {*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, READER}
    run = (
        "from rabtriever_core.stages import STAGES, run_stage\n"
        "print(*[s.name for s in STAGES if run_stage(workspace, s.name).reused])\n"
    )
    assert _python(cell, backwards, run).split() == list(STAGE_NAMES)
    for stage in STAGE_NAMES:
        cell.without(stage)
    assert _python(cell, backwards, run).split() == []
    assert all(cell.is_what_it_should_be(stage) for stage in STAGE_NAMES)
    assert cell.is_served_as_before()
    record = (
        "from rabtriever_core.dvc.recording import record_stage, run_dvc\n"
        f"for stage in {STAGE_NAMES!r}: record_stage(workspace, stage)\n"
        "print(run_dvc(workspace.root, 'status'))\n"
    )
    assert "up to date" in _python(cell, backwards, record)
    release = (
        "from rabtriever_core.releases.promotion import promote, rollback\n"
        "print(promote(workspace, by='test').decision)\n"
    )
    assert "promoted" in _python(cell, backwards, release)
    releases = list(read_releases(workspace).values())
    assert [r.number for r in releases] == [1, 2]
    assert releases[1].created < releases[0].created, "the clock did go backwards"
    assert answers(workspace)[1] == cell.promoted[1]
    asked = "from tests.faults.conftest import answers\nprint(answers(workspace)[0])\n"
    assert _python(cell, backwards, asked).strip() == releases[1].id
    back = (
        "from rabtriever_core.releases.promotion import rollback\n"
        "print(rollback(workspace, by='eve').number)\n"
    )
    assert _python(cell, backwards, back).strip() == "1"
    assert cell.is_served_as_before()
    assert [e.action for e in read_log(workspace)] == ["promote", "promote", "rollback"]
