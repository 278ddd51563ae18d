"""Processes side by side share the cores."""

import os
import subprocess
import sys

import pytest

from rabtriever_core import processes
from rabtriever_core.ablation import sweep
from rabtriever_core.findings import chains


@pytest.mark.parametrize(("jobs", "threads"), [(2, 3), (6, 1), (9, 1)])
def test_they_share_the_cores(monkeypatch: pytest.MonkeyPatch, jobs: int, threads: int) -> None:
    monkeypatch.setattr(processes, "machine", lambda: {"cores": 6})
    environment = {"PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", environment)
    processes._share_cores(jobs)
    assert environment["OMP_NUM_THREADS"] == str(threads)


@pytest.mark.parametrize("module", [chains, sweep])
def test_torch_is_not_loaded_before(module: object) -> None:
    code = f"import sys, {module.__name__}; sys.exit('torch' in sys.modules)"  # type: ignore[attr-defined]
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_result_comes_with_its_number() -> None:
    tasks = [str, dict, list]
    assert dict(processes.side_by_side(tasks, 2)) == {0: "", 1: {}, 2: []}


def test_a_fault_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        dict(processes.side_by_side([_Fails()], 2))


class _Fails:
    def __call__(self) -> float:
        return float("no number")
