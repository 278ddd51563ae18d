"""Markdown of generated pages."""

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """A text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def paragraphs(text: str) -> str:
    """A docstring's paragraphs, each on one line: its line ends are those of the source."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).strip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
