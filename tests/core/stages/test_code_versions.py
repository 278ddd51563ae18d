"""Every stage's version was declared for the code that is there."""

import copy
import json
from pathlib import Path

import pytest

from rabtriever_core.stages import STAGES, code_versions
from rabtriever_core.stages.code_versions import RECORD, imported, module_hash, undeclared


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the test's own in place of ours."""
    monkeypatch.setattr(code_versions, "_ROOT", tmp_path)
    monkeypatch.setattr(code_versions, "_PACKAGE", "own")
    return tmp_path


def write(package: Path, name: str, text: str) -> str:
    (package / f"{name}.py").write_text(text)
    code_versions._imports.cache_clear()
    module_hash.cache_clear()
    return module_hash(f"own.{name}")


def test_the_record_is_of_the_code_that_is_there() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    now = code_versions.code_versions()
    assert not undeclared(record, now), undeclared(record, now)
    assert record == now, "run `make generated`"


def test_a_change_behind_a_stage_asks_for_a_decision() -> None:
    now = code_versions.code_versions()
    changed = copy.deepcopy(now)
    changed["stages"]["teacher"]["code"] = "other"
    changed["modules"]["stages.teacher"] = "other"
    said = undeclared(changed, now)
    assert said.startswith("stages.teacher changed, and so the code behind teacher (version 1).")
    raised = copy.deepcopy(now)
    raised["stages"]["teacher"]["version"] = 0
    assert "make generated" in undeclared(raised, now)
    assert undeclared(now, now) == ""


def test_comments_docstrings_and_layout_are_no_code(package: Path) -> None:
    text = (
        'class A:\n    x: int = 1\n    """What it is."""\n\n'
        'def f(a):\n    """Do."""\n    return a\n'
    )
    first = write(package, "a", text)
    assert write(package, "a", '"""Now."""\n# why\n' + text.replace("What it is", "Other")) == first
    assert write(package, "a", text.replace("return a", "return (a)")) == first
    assert write(package, "a", text.replace("return a", "return -a")) != first
    assert write(package, "a", text.replace("= 1", "= 2")) != first


def test_what_is_imported_anywhere_but_for_types_is_behind_a_stage(package: Path) -> None:
    write(package, "low", "X = 1\n")
    write(package, "deep", "from own.low import X\n")
    write(package, "typed", "class T: ...\n")
    write(
        package,
        "top",
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from own.typed import T\n"
        "def f():\n    from own import deep\n    return deep\n",
    )
    (package / "page.j2").write_text("a template")
    assert imported("own.top") == {"own.top", "own.deep", "own.low", "own.page.j2"}


def test_a_stage_imports_what_it_does_and_not_its_neighbours() -> None:
    behind = {stage.name: imported(f"rabtriever_core.stages.{stage.name}") for stage in STAGES}
    for name, modules in behind.items():
        assert f"rabtriever_core.stages.{name}" in modules
        assert "rabtriever_core.stages.registry" not in modules, (
            "raising a version would be a change"
        )
    assert "rabtriever_core.training.dpo" in behind["teacher"]
    assert "rabtriever_core.training.dpo" not in behind["backbone"]
    assert not any("serving.page" in name for name in behind["calibration"])
