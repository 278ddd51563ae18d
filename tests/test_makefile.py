"""`make` where people clone to: paths with spaces and letters beyond ASCII, from any folder."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = ("run", "dev", "stack", "test", "year", "check", "generated", "docs", "workspace")


# `make test` hands its own flags and depth to the makes started here, which then print more.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
}


def make(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(params=["plain", "My Drive", "Büro/数据  2"])
def clone(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder: Path = tmp_path / request.param
    (folder / "inner folder").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_every_target_finds_the_clone(clone: Path) -> None:
    assert "make run " in make(clone, "help")
    for target in TARGETS:
        shown = make(clone, "--dry-run", target)
        assert f'"{clone}/.venv/.installed-' in shown
        assert f'cd "{clone}"' in shown
    inner = clone / "inner folder"
    assert make(inner, "--dry-run", "-f", "../Makefile", "check") == shown_by(clone, "check")
    assert make(inner, "--dry-run", "-f", f"{clone}/Makefile", "check") == shown_by(clone, "check")
    moved = make(inner, "--no-print-directory", "--dry-run", "-C", "..", "check")
    assert moved == shown_by(clone, "check")


def shown_by(clone: Path, target: str) -> str:
    return make(clone, "--dry-run", target)


def test_workspaces_are_where_they_were_named(clone: Path) -> None:
    inner = clone / "inner folder"
    assert f'rabtriever init "{clone}"' in make(clone, "--dry-run", "workspace")
    relative = make(inner, "--dry-run", "-f", "../Makefile", "workspace", "WORK=my work")
    assert f'rabtriever init "{inner}/my work"' in relative
    absolute = make(clone, "--dry-run", "workspace", "WORK=/some where", "DATA=my data")
    assert 'rabtriever init "/some where" --data "my data"' in absolute


def test_what_is_installed_is_not_installed_again(clone: Path) -> None:
    (clone / ".venv").mkdir()
    stamp, project = clone / ".venv" / ".installed-docs", clone / "pyproject.toml"
    stamp.touch()
    same = project.stat().st_mtime_ns
    later = 100 * 10**9
    for age in (same, same + later):
        os.utime(stamp, ns=(age, age))
        assert make(clone, "PYTHON=false", "installed-docs") == ""
    os.utime(stamp, ns=(same - later, same - later))
    again = subprocess.run(
        ["make", "PYTHON=false", "installed-docs"],
        cwd=clone,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert again.returncode == 2, "it would install again"
