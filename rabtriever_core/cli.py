"""The command line: one command per step, the same library calls as everywhere else.

The steps are the `cmd` of dvc.yaml's stages, so nothing here calls DVC while a stage runs.
"""

import json
import logging
import shutil
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rabtriever_core.errors import ArtifactError, RabtrieverError
from rabtriever_core.stages.registry import STAGES

if TYPE_CHECKING:
    from rabtriever_core.index.search import Hit
    from rabtriever_core.workspace import Workspace


class _Commands(TyperGroup):
    """Prints the project's own errors as one line; anything else is a bug and keeps its trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RabtrieverError as error:
            if ctx.params["debug"]:
                raise
            message = " ".join(str(error).split())
            typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from error


# click 8.5 drops the help text of arguments under this typer: docstrings explain them instead.
app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="The workspace folder.", show_default="here")
]


def main() -> None:
    """Entry point of the `rabtriever` command."""
    app()


def _examples(*lines: str) -> str:
    # \b keeps click from joining the lines.
    return "Examples:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rabtriever {metadata.version('rabtriever')}")
        raise typer.Exit


@app.callback(
    epilog=_examples(
        "rabtriever init work",
        "rabtriever run all -w work",
        "rabtriever report -w work",
        'rabtriever query "I snapped at my kids again." -w work',
    )
)
def _top(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Rationale-based retrieval: distil an LLM reranker into embeddings, serve them from Qdrant."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("rabtriever_core").setLevel(logging.DEBUG if debug else logging.INFO)


@app.command(epilog=_examples("rabtriever init", "rabtriever init work --data my-dataset"))
def init(
    work: Annotated[Path, typer.Argument(show_default="here")] = Path(),
    data: Annotated[
        Path | None,
        typer.Option(help="Your data in BEIR layout, copied in; the demo set without it."),
    ] = None,
    accept_data: Annotated[
        bool, typer.Option("--accept-data", help="Record demo data that differs from data.dvc.")
    ] = False,
) -> None:
    """Set up a workspace: settings, data, DVC.

    WORK is created when missing; edited settings are kept.
    """
    from rabtriever_core.initialize import init_workspace

    workspace = init_workspace(work, data, accept_data=accept_data)
    typer.echo(f"workspace {workspace.root}: data set {workspace.settings.dataset.name!r}")


@app.command()
def demo(folder: Annotated[Path, typer.Argument()]) -> None:
    """Write the bundled demo data set into FOLDER: an example of the layout."""
    from rabtriever_core.data.demo import write_demo

    write_demo(folder)
    typer.echo(f"demo data set: {folder}")


@app.command(
    epilog=_examples("rabtriever run all", "rabtriever run student --set student.temperature=2")
)
def run(
    stage: Annotated[str, typer.Argument()],
    force: Annotated[bool, typer.Option("--force", help="Run although up to date.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Override a setting."),
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Run one stage, or all in order.

    STAGE is all, or validated_dataset, backbone, bi_encoder, teacher, student, baselines,
    document_embeddings, qdrant_collection, benchmark_report. What is up to date is kept.
    """
    from rabtriever_core.stages.registry import stage_named
    from rabtriever_core.workspace import Workspace

    stages = STAGES if stage == "all" else (stage_named(stage),)
    opened = Workspace.open(workspace, tuple(overrides or ()))
    for each in stages:
        _run_one(opened, each.name, force)


@app.command(epilog=_examples('rabtriever query "I snapped at my kids again." -k 3'))
def query(
    text: Annotated[str, typer.Argument()],
    k: Annotated[int, typer.Option("-k", min=1, help="Documents to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Ask the served index: the documents that answer TEXT best."""
    from rabtriever_core.index.ask import ask
    from rabtriever_core.workspace import Workspace

    hits = ask(Workspace.open(workspace), text, k)
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False, indent=2))
    else:
        typer.echo(_hit_table(hits))


@app.command()
def report(workspace: WorkspaceOption = Path()) -> None:
    """Print the benchmark's summary table."""
    from rabtriever_core.evaluation.wording import summary_table
    from rabtriever_core.workspace import Workspace

    folder = Workspace.open(workspace).reports
    path = folder / "benchmark.json"
    if not path.is_file():
        raise ArtifactError(f"no {path}: run `rabtriever run benchmark_report` first")
    typer.echo(summary_table(json.loads(path.read_text(encoding="utf-8"))))
    typer.echo(f"\nfull report: {folder / 'benchmark.html'}")


def _run_one(workspace: "Workspace", stage: str, force: bool) -> None:
    """Run a stage and say what came of it; a data set unfit for use ends with exit code 1."""
    from rabtriever_core.stages.run import run_stage

    artifact = run_stage(workspace, stage, force=force)
    done = "up to date" if artifact.reused else f"built in {workspace.seconds()[stage]:.1f} s"
    typer.echo(f"{stage}: {done}, {artifact.folder} ({artifact.hash})")
    if stage == "validated_dataset" and not artifact.meta.metrics["passed"]:
        broken = ", ".join(artifact.meta.metrics["broken"])
        typer.secho(f"the data set broke: {broken}", fg=typer.colors.RED, err=True)
        typer.secho(f"details: {workspace.data_docs}", err=True)
        raise typer.Exit(1)


def _hit_table(hits: "list[Hit]") -> str:
    width = max(40, shutil.get_terminal_size().columns) - 29
    lines = ["rank    margin  probability  document"]
    for rank, hit in enumerate(hits, 1):
        text = " ".join(f"{hit.title}: {hit.text}".removeprefix(": ").split())
        shown = text if len(text) <= width else f"{text[: width - 1]}…"
        lines.append(f"{rank:>4}  {hit.margin:>8.3f}  {hit.probability:>11.3f}  {shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
