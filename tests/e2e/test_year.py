"""The scripted year on the demo set; `make year` lives through it on a real one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rabtriever_core.data.demo import write_demo


@pytest.mark.slow
def test_a_year(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo")
    command = [sys.executable, "-m", "tests.year", str(tmp_path / "demo"), str(tmp_path / "year")]
    finished = subprocess.run([*command, "--tiny"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = json.loads((tmp_path / "year" / "year.json").read_text())
    outcomes = {row["month"]: row["outcome"] for row in found["months"]}
    assert len(outcomes) == 12
    assert {outcomes[4], outcomes[8]} == {"validation stopped it"}
    assert outcomes[6] == "refused"
    assert list(outcomes.values()).count("promoted") >= 2
    assert found["client"]["answers"] > 20
    assert (found["client"]["errors"], found["client"]["mixed"]) == (0, 0)
    assert (tmp_path / "year" / "year.png").stat().st_size > 10_000
