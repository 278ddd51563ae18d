"""The load test itself, in short: nobody is refused below saturation, nothing is mixed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rabtriever_core.releases.promotion import promote
from tests.faults.conftest import Cell, base, cell  # noqa: F401 - fixtures
from tests.faults.injection import free_port

pytestmark = pytest.mark.slow


def test_a_short_load(cell: Cell) -> None:  # noqa: F811
    promote(cell.workspace, by="test")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.load", str(cell.workspace.root), "--seconds", "3"]
    finished = subprocess.run(
        [*command, "--port", str(free_port())],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads((cell.workspace.measurements / "load.json").read_text())
    parts = found["parts"]
    assert found["wrong"] == []
    assert [row["clients"] for row in parts["levels"]] == [1, 8, 32, 128]
    assert all(set(row["statuses"]) == {"200"} for row in parts["levels"])
    assert set(parts["overload"]["statuses"]) == {"200", "429"}
    assert set(parts["overload"]["after"]["statuses"]) == {"200"}
    assert set(parts["swap"]["statuses"]) == {"200"}
    assert set(parts["outage"]["statuses"]) == {"200", "503"}
    assert set(parts["outage"]["after"]["statuses"]) == {"200"}
    assert [step["to"] for step in parts["swap"]["steps"]] == [cell.served[0], cell.promoted[0]]
    assert (cell.workspace.measurements / "load.png").stat().st_size > 10_000
