"""Commands that show, measure or compare what was made."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli import completion
from rabtriever_core.cli.application import MEASURE, app, examples
from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json
from rabtriever_core.errors import ArtifactError


@app.command(rich_help_panel=MEASURE)
def report(as_json: JsonOption = False, workspace: WorkspaceOption = Path()) -> None:
    """Print the benchmark's summary table."""
    from rabtriever_core.report.wording import summary_table
    from rabtriever_core.workspace import Workspace

    folder = Workspace.open(workspace).reports
    path = folder / "benchmark.json"
    if not path.is_file():
        raise ArtifactError(f"no {path}: run `rabtriever run benchmark_report` first")
    benchmark = json.loads(path.read_text(encoding="utf-8"))
    if as_json:
        print_json(benchmark)
        return
    typer.echo(summary_table(benchmark))
    typer.echo(f"\nfull report: {folder / 'benchmark.html'}")


@app.command(
    rich_help_panel=MEASURE,
    epilog=examples(
        "rabtriever compare before after",
        "rabtriever compare before after --system all --metric R@1",
        "rabtriever compare before after --html compared.html",
    ),
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
    from rabtriever_core.evaluation.comparison import compare as compare_results
    from rabtriever_core.evaluation.results import Results
    from rabtriever_core.report import comparison as compare_view

    compared = compare_results(
        Results.read(a), Results.read(b), system=system, split=split, metric=metric
    )
    if html is not None:
        compare_view.write_page(compared, html, queries)
    if as_json:
        print_json(compared)
        return
    from rich.console import Console

    Console(highlight=False).print(*compare_view.terminal(compared, queries), sep="\n\n")
    if html is not None:
        typer.echo(f"page: {html}")


@app.command(
    "measure-vectors",
    rich_help_panel=MEASURE,
    epilog=examples("rabtriever measure-vectors -w work --split dev"),
)
def measure_vectors(
    split: Annotated[
        str,
        typer.Option(
            help="Whose queries; choices belong on dev.", autocompletion=completion.splits
        ),
    ] = "dev",
    queries: Annotated[int, typer.Option(min=1, help="Queries at most.")] = 500,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Measure gauges and quantization on Qdrant's engine: recall@10, bytes, time.

    Reads the student and its document embeddings; writes measurements/vectors.json, .md, .html
    and .png.
    """
    from rabtriever_core.lab.measurements.vectors import measure_workspace
    from rabtriever_core.lab.measurements.vectors_report import markdown, write_vectors_report
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace)
    measured = measure_workspace(opened, split, queries)
    page = write_vectors_report(measured, opened.measurements)
    if as_json:
        print_json(measured)
        return
    typer.echo(markdown(measured))
    typer.echo(f"\nfull report: {page}")


@app.command(
    "measure-cache",
    rich_help_panel=MEASURE,
    epilog=examples("rabtriever measure-cache -w work --queries 64"),
)
def measure_cache(
    document_tokens: Annotated[int, typer.Option(min=1, help="Length of the document.")] = 512,
    queries: Annotated[int, typer.Option(min=1, help="How many it is scored with.")] = 32,
    query_tokens: Annotated[int, typer.Option(min=1, help="Length of a query at most.")] = 16,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds that are timed.")] = 7,
    as_json: JsonOption = False,
    workspace: Annotated[
        Path | None,
        # Not from the environment: without a workspace it measures something else.
        typer.Option("--workspace", "-w", help="Whose teacher.", show_default="a tiny, new one"),
    ] = None,
) -> None:
    """Time teacher margins with a document's keys and values shared by queries, and without.

    Fails where the margins differ; writes measurements/prefix_cache.json.
    """
    from rabtriever_core.lab.measurements.prefix_cache import Reading, measure_prefix_cache, summary
    from rabtriever_core.workspace import Workspace

    opened = None if workspace is None else Workspace.open(workspace)
    path = measure_prefix_cache(
        opened,
        Reading(document_tokens, queries, query_tokens, repeats),
        Path("measurements") if opened is None else opened.measurements,
    )
    if as_json:
        print_json(json.loads(path.read_text(encoding="utf-8")))
        return
    typer.echo(f"{summary(path)}\n\nwritten: {path}")
