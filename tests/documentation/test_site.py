"""The site is built without a warning, and its pages ask nobody else's network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documentation.blocks import ROOT

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
pytest.importorskip("mkdocstrings", reason="the extra `docs` is not installed")

LOADED = {
    "img": "src", "script": "src", "iframe": "src", "link": "href", "source": "src",
    "video": "src", "audio": "src", "embed": "src", "object": "data", "use": "href",
}  # fmt: skip
"""Elements that make a browser fetch something → the attribute that says what."""


class Resources(HTMLParser):
    """Addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what this element makes a browser fetch."""
        values = dict(attributes)
        if tag == "link" and values.get("rel") in ("canonical", "alternate", "next", "prev"):
            return  # nothing is fetched for these
        self.found.append(values.get(LOADED.get(tag, "")) or "")
        self.found += re.findall(r"url\(([^)]*)\)", values.get("style") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text("utf-8"))
        for address in resources.found:
            assert not re.match(r"(https?:)?//", address.strip("'\" ")), (page.name, address)


def test_style_sheets_load_nothing_from_elsewhere(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        text = sheet.read_text("utf-8")
        for address in re.findall(r"url\(\s*['\"]?([^'\")]*)", text):
            assert not re.match(r"(https?:)?//", address), (sheet.name, address)
        assert not re.search(r"@import\s+['\"](https?:)?//", text), sheet.name


def test_nothing_makes_the_theme_load_mermaid(site: Path) -> None:
    """It would come from another host: figures are SVG files."""
    for page in site.rglob("*.html"):
        assert 'class="mermaid"' not in page.read_text("utf-8"), page.name


def test_the_generators_are_no_part_of_it(site: Path) -> None:
    assert not list(site.rglob("*.py"))
