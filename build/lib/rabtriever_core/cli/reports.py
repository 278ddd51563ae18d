"""Commands that show or compare what was made."""

import json
from pathlib import Path
from typing import Annotated

import typer

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
    "compare-data",
    rich_help_panel=MEASURE,
    epilog=examples(
        "rabtriever compare-data v1 v2 HEAD",
        "rabtriever compare-data 3498243de670c86055592402b332871a HEAD -w work",
    ),
)
def compare_data(
    versions: Annotated[list[str], typer.Argument()],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Run the whole chain on past VERSIONS of the data and put their MRR@10 side by side.

    VERSIONS are git revisions that hold a data.dvc, or md5s that it held. Each runs in a workspace
    of its own below .work, with the settings of now; what is served stays as it is. A star marks
    figures of other queries than the last version's. Writes measurements/data_versions.json, .md
    and .png. Ends with exit code 1 when a version has no figures.
    """
    from rabtriever_core.automation.data_versions import measure_versions, write_comparison
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace)
    found = measure_versions(opened, versions)
    path = write_comparison(found, opened.measurements)
    if as_json:
        print_json(json.loads(path.read_text(encoding="utf-8")))
    else:
        typer.echo(path.with_suffix(".md").read_text(encoding="utf-8"))
        typer.echo(f"results: {path}")
    if any(version.problem for version in found):
        raise typer.Exit(1)
