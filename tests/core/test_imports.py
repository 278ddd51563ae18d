"""Imports point one way, from the command line down to the settings; read from the source."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
CORE = "rabtriever_core"
LAYERS = (
    {"cli"},
    {"lab", "integrations", "serving", "automation"},
    {"releases", "dvc"},
    {"stages"},
    {"report"},
    {"evaluation"},
    {"training"},
    {"index"},
    {"models"},
    {"data"},
    {"workspace"},
    {"config", "errors", "extras"},
)
"""Packages, from the top down: each may import those of lower layers, and of its own."""
LEVEL = {package: level for level, layer in enumerate(LAYERS) for package in layer}


class Import(NamedTuple):
    """One import statement's meaning: a module needs another."""

    importer: str
    imported: str
    place: str
    """File and line."""
    typing_only: bool
    """Whether it stands under `if TYPE_CHECKING`."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the library by its dotted name."""
    found = {}
    for path in sorted((ROOT / CORE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of the library, those inside functions too."""
    found: list[Import] = []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for statement in node.body
            for inner in ast.walk(statement)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found += [
                    Import(name, target, place, id(node) in typing_only) for target in _named(node)
                ]
    return tuple(found)


def _named(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules that a statement imports, by dotted name."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert not node.level, "relative imports are not used here"
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        yield inner if inner in modules() else str(node.module)


def _package(module: str) -> str:
    """The package of a module of the library; empty for the library's own `__init__`."""
    return module.split(".")[1] if "." in module else ""


def _inside() -> list[Import]:
    """Imports from one package of the library to another one.

    The library's own `__init__` is in no package: it holds the version, and offers the client of
    `serving` to whoever asks for it.
    """
    return [
        found
        for found in imports()
        if found.imported.split(".")[0] == CORE
        and "" not in (ends := (_package(found.importer), _package(found.imported)))
        and ends[0] != ends[1]
    ]


def test_every_package_has_a_layer() -> None:
    assert {_package(name) for name in modules()} - {""} == set(LEVEL)


def test_imports_point_downwards() -> None:
    upwards = [
        f"{found.place}: {found.importer} imports {found.imported}"
        for found in _inside()
        if LEVEL[_package(found.imported)] < LEVEL[_package(found.importer)]
    ]
    assert not upwards, "\n".join(upwards)


def test_nothing_but_the_command_line_imports_the_laboratory() -> None:
    found = [i.place for i in _inside() if _package(i.imported) == "lab"]
    assert [place for place in found if not place.startswith(f"{CORE}/cli/")] == []
    assert found, "the rule is about a package that is there"


@pytest.mark.parametrize("foreign", ["dagster", "dagster_project", "tests", "deployments"])
def test_the_library_knows_nothing_of_what_is_built_on_it(foreign: str) -> None:
    assert [found.place for found in imports() if found.imported.split(".")[0] == foreign] == []


def test_no_module_is_in_a_circle() -> None:
    """Not even in one that an import inside a function hides."""
    _check_no_circle((i.importer, i.imported) for i in imports() if not i.typing_only)


def test_no_package_is_in_a_circle() -> None:
    _check_no_circle(
        (_package(i.importer), _package(i.imported)) for i in _inside() if not i.typing_only
    )


def _check_no_circle(pairs: Iterable[tuple[str, str]]) -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in pairs:
        graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))
