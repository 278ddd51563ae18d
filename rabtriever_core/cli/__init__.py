"""The command line: one command per step, the same library calls as everywhere else.

The steps are the `cmd` of dvc.yaml's stages, so nothing here calls DVC while a stage runs.
"""

import json
import logging
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rabtriever_core.cli.releases import promote_and_say, releases_app
from rabtriever_core.disk import is_full
from rabtriever_core.errors import ArtifactError, RabtrieverError
from rabtriever_core.stages.registry import STAGES

if TYPE_CHECKING:
    from rabtriever_core.artifacts import Artifact
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
        except Exception as error:
            if ctx.params["debug"] or not is_full(error, Path.cwd()):
                raise
            typer.secho(f"error: the disk is full: {error}", fg=typer.colors.RED, err=True)
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


app.add_typer(releases_app, name="releases")


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
    document_embeddings, calibration, qdrant_collection, benchmark_report. What is up to date is
    kept. After all of them the outcome is released, where it passes the gates.
    """
    from rabtriever_core.stages.registry import stage_named
    from rabtriever_core.workspace import Workspace

    stages = STAGES if stage == "all" else (stage_named(stage),)
    opened = Workspace.open(workspace, tuple(overrides or ()))
    for each in stages:
        _run_one(opened, each.name, force)
    if stage == "all":
        promote_and_say(opened)


@app.command(
    epilog=_examples(
        "rabtriever retrain",
        "rabtriever retrain --kind predictor --warm",
        "rabtriever retrain --dry-run",
    )
)
def retrain(
    kind: Annotated[
        str | None,
        typer.Option(help="reindex, predictor or full.", show_default="what the data ask for"),
    ] = None,
    warm: Annotated[
        bool, typer.Option("--warm", help="Start the predictor from the served one.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is needed.")] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Train no more than changed data ask for, and release the outcome where it passes.

    reindex embeds new documents, predictor trains the student on the teacher there is, full trains
    everything (retraining.max_changed_share). What is kept is what the served release has.
    """
    from rabtriever_core.retraining import needed_now, retraining_kind
    from rabtriever_core.retraining import retrain as train_again
    from rabtriever_core.workspace import Workspace

    wanted = None if kind is None else retraining_kind(kind)
    opened = Workspace.open(workspace)
    if dry_run:
        _run_one(opened, "validated_dataset", force=False)
        need = needed_now(opened)
        typer.echo(f"{need.kind}: {need.reason}")
        return
    outcome = train_again(
        opened,
        wanted,
        warm_start=warm,
        done=lambda stage, artifact: typer.echo(_stage_line(opened, stage, artifact)),
    )
    typer.echo(f"{outcome.kind}: {outcome.reason}")
    if outcome.kind == "none":
        return
    typer.echo(
        f"{sum(outcome.seconds.values()):.1f} s, {outcome.embedded} documents embedded; spared "
        f"{sum(outcome.spared.values()):.1f} s ({', '.join(outcome.spared) or 'nothing timed'})"
    )
    promote_and_say(opened)


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


@app.command("measure-vectors", epilog=_examples("rabtriever measure-vectors -w work --split dev"))
def measure_vectors(
    split: Annotated[str, typer.Option(help="Whose queries; choices belong on dev.")] = "dev",
    queries: Annotated[int, typer.Option(min=1, help="Queries at most.")] = 500,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Measure gauges and quantization on Qdrant's engine: recall@10, bytes, time.

    Reads the student and its document embeddings; writes measurements/vectors.json, .md, .html
    and .png.
    """
    from rabtriever_core.evaluation.vectors import measure_workspace
    from rabtriever_core.evaluation.vectors_report import markdown, write_vectors_report
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace)
    measured = measure_workspace(opened, split, queries)
    page = write_vectors_report(measured, opened.measurements)
    typer.echo(markdown(measured))
    typer.echo(f"\nfull report: {page}")


@app.command("measure-cache", epilog=_examples("rabtriever measure-cache -w work --queries 64"))
def measure_cache(
    document_tokens: Annotated[int, typer.Option(min=1, help="Length of the document.")] = 512,
    queries: Annotated[int, typer.Option(min=1, help="How many it is scored with.")] = 32,
    query_tokens: Annotated[int, typer.Option(min=1, help="Length of a query at most.")] = 16,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds that are timed.")] = 7,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="Whose teacher.", show_default="a tiny, new one"),
    ] = None,
) -> None:
    """Time teacher margins with a document's keys and values shared by queries, and without.

    Fails where the margins differ; writes measurements/prefix_cache.json.
    """
    from rabtriever_core.evaluation.prefix_cache import Reading, measure_prefix_cache, summary
    from rabtriever_core.workspace import Workspace

    opened = None if workspace is None else Workspace.open(workspace)
    path = measure_prefix_cache(
        opened,
        Reading(document_tokens, queries, query_tokens, repeats),
        Path("measurements") if opened is None else opened.measurements,
    )
    typer.echo(f"{summary(path)}\n\nwritten: {path}")


@app.command(
    epilog=_examples(
        "rabtriever compare before after",
        "rabtriever compare before after --system all --metric R@1",
        "rabtriever compare before after --html compared.html",
    )
)
def compare(
    a: Annotated[Path, typer.Argument()],
    b: Annotated[Path, typer.Argument()],
    system: Annotated[str, typer.Option(help="A system of the benchmark, or all.")] = "student",
    split: Annotated[
        str | None, typer.Option(help="A split of the benchmark.", show_default="all")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="A metric of the benchmark.", show_default="all; queries by MRR@10"),
    ] = None,
    queries: Annotated[int, typer.Option(min=0, help="Queries won and lost to show, of each.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all queries.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page.", show_default=False)] = None,
) -> None:
    """Compare two benchmarks of the same data: metrics, significance, queries won and lost.

    A and B are workspaces, or (copies of) their reports folders. Differences are B − A.
    """
    from rabtriever_core.evaluation import compare_view
    from rabtriever_core.evaluation.compare import compare as compare_results
    from rabtriever_core.evaluation.results import Results

    compared = compare_results(
        Results.read(a), Results.read(b), system=system, split=split, metric=metric
    )
    if html is not None:
        compare_view.write_page(compared, html, queries)
    if as_json:
        typer.echo(json.dumps(compared, ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    Console(highlight=False).print(*compare_view.terminal(compared, queries), sep="\n\n")
    if html is not None:
        typer.echo(f"page: {html}")


def _run_one(workspace: "Workspace", stage: str, force: bool) -> None:
    """Run a stage and say what came of it; a data set unfit for use ends with exit code 1."""
    from rabtriever_core.stages.run import run_stage

    artifact = run_stage(workspace, stage, force=force)
    typer.echo(_stage_line(workspace, stage, artifact))
    if stage == "validated_dataset" and not artifact.meta.metrics["passed"]:
        broken = ", ".join(artifact.meta.metrics["broken"])
        typer.secho(f"the data set broke: {broken}", fg=typer.colors.RED, err=True)
        typer.secho(f"details: {workspace.data_docs}", err=True)
        raise typer.Exit(1)
    if stage == "validated_dataset":
        _compare(workspace)


def _compare(workspace: "Workspace") -> None:
    """Say how the data differ from the version before; beyond a bound ends with exit code 1."""
    from rabtriever_core.releases.data_changes import compare_versions

    verdict = compare_versions(workspace)
    for line in verdict.warnings:
        typer.echo(f"  against the version before: {line}")
    if verdict.broken:
        broken = ", ".join(verdict.broken)
        typer.secho(f"against the version before, the data broke: {broken}", fg="red", err=True)
        typer.secho(f"details: {workspace.data_changes}", err=True)
        raise typer.Exit(1)


def _stage_line(workspace: "Workspace", stage: str, artifact: "Artifact") -> str:
    done = "up to date" if artifact.reused else f"built in {workspace.seconds()[stage]:.1f} s"
    return f"{stage}: {done}, {artifact.folder} ({artifact.hash})"


# Registers its commands with the app above.
from rabtriever_core.cli import asking, experiments, serve  # noqa: E402, F401
