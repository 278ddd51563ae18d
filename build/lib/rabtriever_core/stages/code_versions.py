"""The code behind each stage, as it was when its version was declared.

A stage's artifact is made anew when `Stage.version` is raised, and never because a file changed: a
docstring or a new release of this package trains nothing again. So that a change of results cannot
slip through, `code_versions.json` records a hash of every module that a stage imports, directly or
not, without comments and docstrings. A test fails where the code no longer matches the record. Then
either raise the version in `stages/registry.py`, because results change, or leave it, because they
do not; `make generated` writes the record anew, and the diff shows the decision.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from rabtriever_core.stages.registry import STAGES

RECORD = Path(__file__).with_name("code_versions.json")
_PACKAGE = "rabtriever_core"
_ROOT = Path(__file__).parents[1]


def code_versions() -> dict[str, Any]:
    """The content of the record for the code as it is now."""
    closures = {stage.name: imported(f"{_PACKAGE}.stages.{stage.name}") for stage in STAGES}
    modules = sorted(set().union(*closures.values()))
    return {
        "stages": {
            stage.name: {"version": stage.version, "code": _digest(closures[stage.name])}
            for stage in STAGES
        },
        "modules": {name.removeprefix(f"{_PACKAGE}."): module_hash(name) for name in modules},
    }


def undeclared(record: dict[str, Any], now: dict[str, Any]) -> str:
    """What a test says of code that differs from the record; nothing where it does not."""
    stages = [
        f"{stage} (version {entry['version']})"
        for stage, entry in now["stages"].items()
        if entry != record["stages"].get(stage)
    ]
    if not stages:
        return ""
    recorded, found = record["modules"], now["modules"]
    changed = sorted(
        name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name)
    )
    return (
        f"{', '.join(changed) or 'what they import'} changed, and so the code behind "
        f"{', '.join(stages)}. Raise the version in stages/registry.py of each stage whose results "
        "change; then, or if none do, run `make generated`"
    )


def imported(module: str) -> set[str]:
    """A module and all of this package that it imports, at the top or inside functions.

    What only type checkers import is left out, and the `__init__` of a package that is imported for
    one of its modules. The files beside the modules that are no Python count: templates, texts.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(name)
    folders = {_file(name).parent for name in found}
    return found | {
        f"{_PACKAGE}.{path.relative_to(_ROOT).as_posix()}"
        for folder in folders
        for path in folder.iterdir()
        if path.is_file() and path.suffix != ".py" and path != RECORD and path.stat().st_size
    }


@cache
def module_hash(name: str) -> str:
    """Hash of a module's code, or of a file's bytes."""
    path = _ROOT / name.removeprefix(f"{_PACKAGE}.")
    if path.is_file():
        content = path.read_bytes()
    else:
        tree = ast.parse(_file(name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            _without_docstring(node)
        content = ast.dump(tree).encode()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()[:12]


def _digest(modules: set[str]) -> str:
    text = "\n".join(f"{name} {module_hash(name)}" for name in sorted(modules))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:12]


def _without_docstring(node: ast.AST) -> None:
    """Drop a docstring, also one under a field, which tells people what it is."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        kept = [
            line
            for line in body
            if not (
                isinstance(line, ast.Expr)
                and isinstance(line.value, ast.Constant)
                and isinstance(line.value.value, str)
            )
        ]
        node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]


@cache
def _imports(module: str) -> tuple[str, ...]:
    found: list[str] = []
    waiting: list[ast.AST] = [ast.parse(_file(module).read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if _file(name).is_file() else str(node.module) for name in names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith(_PACKAGE)]
        waiting += ast.iter_child_nodes(node)
    return tuple(found)


def _file(module: str) -> Path:
    path = _ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


if __name__ == "__main__":
    RECORD.write_text(json.dumps(code_versions(), indent=1) + "\n", encoding="utf-8")
