"""The student that is as good as one likes, and a DVC that takes no time."""

import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.errors import VersioningError
from rabtriever_core.releases import store
from rabtriever_core.workspace import Workspace
from tests.core import standin_teacher
from tests.core.releases.life import Reader, Student, build

Make = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def student(monkeypatch: pytest.MonkeyPatch) -> type[Student]:
    fake: Any = types.ModuleType("rabtriever_core.models.student")
    states: Any = types.ModuleType("rabtriever_core.models.states")
    fake.Student, states.DocumentReader = Student, Reader
    for module in (fake, states):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Student, "encoded", [])
    standin_teacher.install(
        monkeypatch, lambda folder: Student(int((folder / "weights").read_text()), ()).margin
    )
    return Student


def quick_dvc(root: Path, *arguments: str) -> str:
    """`add`, `checkout` and `remove` of folders with a cache of copies, without their seconds."""
    command, *targets = [argument for argument in arguments if not argument.startswith("--")]
    for target in targets:
        folder = root / target.removesuffix(".dvc")
        cached = root / ".dvc" / "cache" / folder.name
        if command == "add":
            shutil.copytree(folder, cached, dirs_exist_ok=True)
            folder.with_name(f"{folder.name}.dvc").write_text(f"md5: {folder.name}\n")
        elif command in ("checkout", "pull"):
            if not cached.is_dir():
                raise VersioningError(f"`dvc {command}` failed: missing {target}")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(cached, folder)
        else:
            (root / target).unlink()
    return ""


@pytest.fixture(autouse=True)
def dvc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_dvc" not in request.fixturenames:
        monkeypatch.setattr(store, "run_dvc", quick_dvc)


@pytest.fixture
def real_dvc(tmp_path: Path) -> None:
    """DVC itself."""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build (again) in the one workspace of the test."""
    return lambda **changes: build(tmp_path / "work", **changes)
