"""The application that every command is registered with: errors, exit codes, the order of help."""

import logging
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import click
import typer
from typer.core import TyperCommand, TyperGroup

from rabtriever_core.extras import extra_of, missing_extra
from rabtriever_core.workspace.access import become_somebody, in_one_line
from rabtriever_core.workspace.disk import is_full

MAKE, ASK, RELEASE, MEASURE = "Make", "Ask what is served", "Release", "Measure and compare"
SECTIONS = MAKE, ASK, RELEASE, MEASURE
"""Of `rabtriever --help`, in their order: the `rich_help_panel` of commands."""

RERANK: dict[str, bool | Literal["auto"]] = {"always": True, "auto": "auto", "never": False}
"""Values of `--rerank`, and what the client calls them."""


_LONG = {"run", "retrain", "compare-data", "lab"}
"""Commands that people watch on a terminal while models are loaded and trained."""


class _Commands(TyperGroup):
    """Prints the project's own errors as one line; anything else is a bug and keeps its trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            said = in_one_line(error)
            if said is None and is_full(error, _here()):
                said = f"the disk is full: {error}"
            if said is None and (extra := extra_of(error)):
                said = str(missing_extra(self._extra(ctx, extra), cast(ImportError, error)))
            if ctx.params["debug"] or said is None:
                raise
            typer.secho(f"error: {said}", fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from error

    def _extra(self, ctx: click.Context, extra: str) -> str:
        """An extra, or the one with all that a command takes, so that nobody installs piecemeal."""
        name = ctx.invoked_subcommand or ""
        if extra not in ("local", "models"):
            return extra
        asks = getattr(self.commands.get(name), "rich_help_panel", None) == ASK
        return "serve" if name == "serve" else extra if asks else "pipeline"

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; one that moved is named in the error."""
        lab = self.commands.get("lab")
        if (
            isinstance(lab, click.Group)
            and args[0] in lab.commands
            and args[0] not in self.commands
        ):
            raise click.UsageError(f"`{args[0]}` is now `rabtriever lab {args[0]}`", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A list for each section; typer's own sections come with rich markup only."""
        sections: dict[str, list[tuple[str, click.Command]]] = {name: [] for name in SECTIONS}
        for name, command in self.commands.items():
            section = getattr(command, "rich_help_panel", None)
            sections.setdefault(section or "Commands", []).append((name, command))
        width = max(len(name) for name in self.commands)
        for section, found in sections.items():
            if not found:
                continue
            with formatter.section(section):
                room = formatter.width - 6 - width
                formatter.write_dl(
                    [(f"{name:<{width}}", each.get_short_help_str(room)) for name, each in found]
                )


def _here() -> Path:
    """The current folder, or the root where somebody removed it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


class RerankAlone(TyperCommand):
    """A command whose `--rerank` may stand alone, whatever follows it.

    click would take the query after it for its value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say `always` for it where it has no value."""
        given = args[: args.index("--")] if "--" in args else args
        said: list[str] = []
        for position, argument in enumerate(given):
            said.append(argument)
            following = given[position + 1 : position + 2]
            if argument == "--rerank" and not (following and following[0] in RERANK):
                said.append("always")
        return super().parse_args(ctx, said + args[len(given) :])


# click 8.5 drops the help text of arguments under this typer: docstrings explain them instead.
app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the `rabtriever` command."""
    app()


def examples(*lines: str) -> str:
    """The end of a command's help."""
    # \b keeps click from joining the lines.
    return "Examples:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rabtriever {metadata.version('rabtriever')}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "rabtriever init work",
        "rabtriever run all -w work",
        "rabtriever report -w work",
        'rabtriever query "I snapped at my kids again." -w work',
    )
)
def _top(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Rationale-based retrieval: distil an LLM reranker into embeddings, serve them from Qdrant.

    Exit codes: 0 done; 1 done, and the outcome is not the wanted one (a release was refused, data
    are unfit, nothing fits a query, a figure is not reached); 2 an error. With --json, a command
    prints one JSON value, and progress and warnings go to stderr.
    """
    become_somebody()
    if not (ctx.invoked_subcommand in _LONG and sys.stderr.isatty()):
        # Bars of transformers and its hub would stand between answers, and in logs.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("rabtriever_core").setLevel(logging.DEBUG if debug else logging.INFO)
