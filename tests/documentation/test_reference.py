"""Generated pages say what the code says."""

import pytest

from docs.generators import commands, http_api
from tests.documentation.blocks import DOCS


@pytest.mark.parametrize(
    ("name", "page"), [("commands.md", commands.page), ("http-api.md", http_api.page)]
)
def test_it_is_up_to_date(name: str, page: object) -> None:
    assert callable(page)
    committed = (DOCS / "reference" / name).read_text("utf-8")
    assert committed == page(), f"{name} is stale: `make generated`"


def test_every_command_is_in_it() -> None:
    page = (DOCS / "reference" / "commands.md").read_text("utf-8")
    for command in ("init", "run", "releases rollback", "keys create"):
        assert f"# `rabtriever {command}`" in page


def test_fields_are_explained_by_their_docstrings() -> None:
    page = (DOCS / "reference" / "http-api.md").read_text("utf-8")
    for field in ("min_probability", "hits", "margin"):
        rows = [line for line in page.splitlines() if line.startswith(f"| `{field}` |")]
        assert rows
        assert not any(row.endswith("|  |") for row in rows), rows
