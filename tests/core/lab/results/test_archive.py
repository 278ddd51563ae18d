"""Stored results in one file: what is in it, its bytes, and the committed page's table."""

import os
import shutil
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.errors import ArtifactError
from rabtriever_core.lab.results.archive import opened, pack
from rabtriever_core.lab.results.page import write_page
from rabtriever_core.lab.results.table import BEGIN, END, update_table
from tests.core.lab.results.test_page import stored

DOCS = Path(__file__).parents[4] / "docs"


def results(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["lab", "results", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_committed_table_is_that_of_the_archive(tmp_path: Path) -> None:
    page = Path(shutil.copy(DOCS / "results.md", tmp_path))
    with opened(DOCS / "results.tar.xz") as folder:
        update_table(folder, page)
    written, committed = (path.read_text("utf-8") for path in (page, DOCS / "results.md"))
    assert written == committed, (
        "run `rabtriever lab results docs/results.tar.xz --table docs/results.md`"
    )
    assert committed.count("\n| ") == 2 + 15


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    folder = stored(tmp_path, "set", (1, 2))
    (folder / "note.md").write_text("Said by people.\n", encoding="utf-8")
    (folder / "set" / "test.png").write_bytes(b"a plot")
    (folder / "table.md").write_text("made again by the page")
    pack(folder, tmp_path / "first.tar.xz")
    other = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    pack(other, tmp_path / "second.tar.xz")
    assert (tmp_path / "first.tar.xz").read_bytes() == (tmp_path / "second.tar.xz").read_bytes()
    with tarfile.open(tmp_path / "first.tar.xz") as tar:
        assert tar.getnames() == [
            "note.md",
            "set/queries.json",
            *(f"set/seed-{seed}/{name}.json" for seed in (1, 2) for name in ("benchmark", "ranks")),
        ]


def test_a_page_from_an_archive_is_that_of_its_folder(tmp_path: Path) -> None:
    folder = stored(tmp_path, "set", (1, 2))
    archive = tmp_path / "numbers.tar.xz"
    assert f"stored: {folder}" in results(archive, "--add", folder)
    results(archive, "-o", tmp_path / "page.md")
    write_page(folder, tmp_path / "of-folder.md")
    of_folder = (tmp_path / "of-folder.md").read_text().replace("of-folder-plots", "page-plots")
    assert (tmp_path / "page.md").read_text() == of_folder
    assert (tmp_path / "page-plots" / "set-test.png").is_file()
    assert not list(folder.rglob("*.png"))


def test_what_is_added_stays_beside_what_was_there(tmp_path: Path) -> None:
    archive, page = tmp_path / "numbers.tar.xz", tmp_path / "page.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    results(archive, "--add", stored(tmp_path / "a", "first", (1, 2)))
    results(archive, "--add", stored(tmp_path / "b", "second", (1,)), "--table", page)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("Before.", "After.")
    assert [
        line.split(" | ")[:2] for line in lines if line.startswith(("| first", "| second"))
    ] == [
        ["| first", "2"],
        ["| first, test_2", "2"],
        ["| second", "1"],
        ["| second, test_2", "1"],
    ]
    assert "old" not in lines


def test_what_is_missing_or_damaged_is_said(tmp_path: Path) -> None:
    archive = tmp_path / "numbers.tar.xz"
    assert "say with -o where the page belongs" in results(archive, code=2)
    assert "--add WORKSPACE` begins one" in results(archive, "-o", tmp_path / "page.md", code=2)
    (tmp_path / "nothing").mkdir()
    assert "neither a workspace nor" in results(archive, "--add", tmp_path / "nothing", code=2)
    assert not archive.exists(), "nothing was added"
    results(archive, "--add", stored(tmp_path, "set", (1,)))
    with pytest.raises(ArtifactError, match="no place for the table"), opened(archive) as folder:
        update_table(folder, tmp_path / "page.md")
    archive.write_bytes(archive.read_bytes()[:200])
    assert "is damaged" in results(archive, "-o", tmp_path / "page.md", code=2)
    archive.write_bytes(b"no archive")
    assert "is damaged" in results(archive, "-o", tmp_path / "page.md", code=2)
