"""Files, functions and settings that the pages name are there: a rename reaches the documents."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from rabtriever_core.config import Settings
from rabtriever_core.config.retired import MOVED, REASONS
from tests.documentation.blocks import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a page's shorter names are relative to.
FOLDERS = (
    "",
    "rabtriever_core",
    "rabtriever_core/training",
    "rabtriever_core/integrations",
    "rabtriever_core/lab/baselines",
    "dagster_project/defs",
    "tests/core/integrations",
)


def files_named(page: Path) -> Iterator[tuple[str, str | None]]:
    """(path, name of a function or class) of `path.py` and `path.py: name` on a page."""
    # In narrow table columns the name stands on a line of its own.
    text = page.read_text("utf-8").replace(":`<br>`", ": ")
    for path, name in re.findall(r"`([\w/-]+\.py)(?:: (\w+))?`", text):
        yield path, name or None


def settings_named(page: Path) -> set[str]:
    """`section.name` and `section.name: value` on a page, where there is such a section."""
    named = re.findall(r"`([a-z_]+(?:\.[a-z0-9_]+)+)(?:: [^`]*)?`", page.read_text("utf-8"))
    files = ("py", "yaml", "json", "jsonl", "html", "dvc", "csv")
    return {
        name
        for name in named
        if name.partition(".")[0] in Settings.model_fields and name.rpartition(".")[2] not in files
    }


def is_setting(name: str) -> bool:
    kind: Any = Settings
    for part in name.split("."):
        if not isinstance(kind, type) or not issubclass(kind, BaseModel):
            return False
        if part not in kind.model_fields:
            return False
        kind = kind.model_fields[part].annotation
        kind = next((each for each in get_args(kind) if isinstance(each, type)), kind)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_exist(page: Path) -> None:
    absent = []
    for path, name in files_named(page):
        found = [ROOT / folder / path for folder in FOLDERS if (ROOT / folder / path).is_file()]
        texts = [file.read_text("utf-8") for file in found]
        if not found:
            absent.append(path)
        elif name and not any(re.search(rf"\b(?:def|class) {name}\b", text) for text in texts):
            absent.append(f"{path}: {name}")
    # Some pages name settings that are no more.
    retired = {*MOVED, *REASONS} if page.name in ("upgrading.md", "settings.md") else set()
    absent += [
        name for name in settings_named(page) if not is_setting(name) and name not in retired
    ]
    assert not absent


def test_the_check_finds_what_is_absent(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`training/none.py`, `losses.py:`<br>`listwise`, `index.none: 3`, `data.dvc`")
    assert list(files_named(page)) == [("training/none.py", None), ("losses.py", "listwise")]
    assert list(settings_named(page)) == ["index.none"]
    assert not is_setting("index.none")
    assert is_setting("index.gauge.method")
    assert is_setting("backbone.lora.rank")
