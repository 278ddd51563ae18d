"""Every command, option, make target and link that a page prints exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from typer.main import get_command

from rabtriever_core.cli import app
from tests.documentation.blocks import DOCS, ROOT, blocks, pages

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]


def code(page: Path) -> Iterator[str]:
    """Lines of shell, and code spans outside of fenced blocks."""
    for block in blocks(page):
        if block.language in ("bash", "console", "sh"):
            yield from block.text.replace("\\\n", " ").splitlines()
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", prose)


def calls(page: Path) -> Iterator[list[str]]:
    """The words after each `rabtriever` that starts a command."""
    for line in code(page):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a quote that ends on the next line: no command line
            continue
        begins = [
            place
            for place, word in enumerate(words)
            if word == "rabtriever" and (place == 0 or set(words[place - 1]) <= set("|&;("))
        ]
        for begin in begins:
            end = next(
                (i for i, w in enumerate(words[begin:], begin) if set(w) <= set("|&;()<>")),
                len(words),
            )
            yield words[begin + 1 : end]


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page: Path) -> None:
    for words in calls(page):
        command: click.Command = get_command(app)
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            found = command.commands.get(rest[0])
            assert found is not None, f"rabtriever {' '.join(words)}: no command {rest[0]!r}"
            command = found
            rest.pop(0)
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        known |= {name for parameter in command.params for name in parameter.secondary_opts}
        for word in rest:
            option = word.partition("=")[0]
            if re.fullmatch(r"-[a-zA-Z]|--[a-z][a-z-]*", option):
                assert option in known, f"rabtriever {' '.join(words)}: no option {option}"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in code(page):
        if line.startswith("make "):
            for word in shlex.split(line, comments=True)[1:]:
                assert "=" in word or word in targets, line


def test_links_beside_the_site_lead_somewhere() -> None:
    """Those of the site are checked when it is built."""
    for page in pages():
        if page.is_relative_to(DOCS):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if not re.match(r"https?:", target):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
