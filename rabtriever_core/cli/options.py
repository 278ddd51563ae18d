"""Options that commands share, and what they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from rabtriever_core.cli.completion import release_ids
from rabtriever_core.workspace import VARIABLE

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", envvar=VARIABLE, help="The workspace folder.", show_default="here"
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        envvar="RABTRIEVER_URL",
        help="A query service to ask instead, with the key in RABTRIEVER_API_KEY.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Your name.", show_default="the user's")]
SeedsOption = Annotated[str, typer.Option(help="Of the runs, separated by commas.")]
ParamsOption = Annotated[
    Path | None,
    typer.Option(help="A params.yaml to start from.", show_default="the workspace's, or defaults"),
]
OverridesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Override a setting."),
]
ReleaseArgument = Annotated[str, typer.Argument(autocompletion=release_ids)]


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print one value; None of it is escaped that need not be.

    Args:
        value: of what JSON knows.
        indent: None for a line of JSON Lines.
    """
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def print_written(path: Path, summary: Callable[[Path], str], *, as_json: bool) -> None:
    """Print a measurement that was just written to a file.

    Args:
        path: the file, JSON.
        summary: what it says, in lines of text.
        as_json: print the file instead.
    """
    if as_json:
        print_json(json.loads(path.read_text(encoding="utf-8")))
    else:
        typer.echo(f"{summary(path)}\n\nwritten: {path}")
