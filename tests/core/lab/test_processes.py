"""Processes side by side share the cores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rabtriever_core.lab import processes
from rabtriever_core.lab.ablation import sweep
from rabtriever_core.lab.results import chains


@pytest.mark.parametrize(("jobs", "threads"), [(2, 3), (6, 1), (9, 1)])
def test_they_share_the_cores(monkeypatch: pytest.MonkeyPatch, jobs: int, threads: int) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 6)
    environment = {"PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", environment)
    processes._share_cores(jobs)
    assert environment["OMP_NUM_THREADS"] == str(threads)


def test_the_accelerator_is_named_where_torch_is_not_loaded_yet(tmp_path: Path) -> None:
    """As in the parent of processes side by side, which trains nothing itself."""
    stub = tmp_path / "torch" / "__init__.py"
    stub.parent.mkdir()
    stub.write_text(
        "class cuda:\n"
        "    is_available = staticmethod(lambda: True)\n"
        "    get_device_name = staticmethod(lambda: 'some GPU')\n"
    )
    code = (
        "from rabtriever_core.workspace import provenance; "
        "print(provenance.machine()['accelerator'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "some GPU\n"


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
