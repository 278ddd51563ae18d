"""The pages of the documentation and their code blocks, to be run as they are printed."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    section: str
    """The heading it stands under."""


def pages() -> list[Path]:
    """Every page that people read, of the site and beside it."""
    beside = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md")
    return sorted([*beside, *DOCS.rglob("*.md"), *(ROOT / "deployments").rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found, section = [], ""
    pattern = r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w*)\n(?P<text>.*?)^```$"
    for match in re.finditer(pattern, page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if match["heading"]:
            section = match["heading"]
        else:
            found.append(Block(match["language"], match["text"], section))
    return found
