"""The reference of the command line, from the help that every command prints.

python -m docs.generators.commands docs/reference/commands.md
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from typer.main import get_command

from docs.generators.markdown import cell, paragraphs, table
from rabtriever_core.cli import app
from rabtriever_core.cli.application import SECTIONS

_NAME = "rabtriever"

_START = """\
# Commands

<!-- Written by docs/generators/commands.py: `make generated`. -->

Every command prints the text below with `--help`. `rabtriever --install-completion` completes
commands, releases and splits in your shell. Without `--workspace`, a command uses the folder that
`RABTRIEVER_WORKSPACE` names, or the current one.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | done, but a release was refused, data are unfit, nothing fits a query, or a figure is missed |
| 2 | an error, printed as one line on stderr |

With `--json`, a command prints one JSON value on stdout (`query` prints one line per query).
Progress and warnings go to stderr.
"""


def page() -> str:
    """The page, in Markdown."""
    top = get_command(app)
    assert isinstance(top, click.Group)  # noqa: S101 - what typer makes of an app with commands
    context = click.Context(top, info_name=_NAME)
    return "\n".join([_START, *_options(top, context), *_sections(top, context)]).rstrip() + "\n"


def _sections(top: click.Group, context: click.Context) -> Iterator[str]:
    """The commands, under the headings of `rabtriever --help`."""
    found: dict[str, list[tuple[str, click.Command]]] = {name: [] for name in SECTIONS}
    for name, command in top.commands.items():
        section = getattr(command, "rich_help_panel", None)
        found.setdefault(section if isinstance(section, str) else "Others", []).append(
            (name, command)
        )
    for section, commands in found.items():
        if commands:
            yield f"## {section}\n"
        for name, command in commands:
            yield from _command(name, command, context)


def _command(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"### `{context.command_path}`\n"
    yield f"{paragraphs(command.help or '')}\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None  # noqa: S101 - it was listed
            yield from (
                line.replace("### ", "#### ", 1) for line in _command(below, found, context)
            )
        return
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    yield f"```text\n{usage}\n```\n"
    yield from _options(command, context)
    if command.epilog:
        lines = command.epilog.split("\b\n", 1)[-1].splitlines()
        yield "```bash\n" + "\n".join(line.removeprefix("  ") for line in lines) + "\n```\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """A table of the options; arguments are explained by the command's own text."""
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record and "--help" not in parameter.opts:
            rows.append((f"`{cell(record[0])}`", cell(record[1])))
    if rows:
        yield table(("option", "meaning"), rows)


def main(arguments: Any = None) -> None:
    """The command line above."""
    (target,) = arguments or sys.argv[1:]
    Path(target).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
