"""`rabtriever lab`: further systems to compare with, and the page of stored results."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rabtriever_core.cli.application import examples
from rabtriever_core.cli.completion import baseline_names
from rabtriever_core.cli.lab import lab_app
from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json
from rabtriever_core.errors import ConfigError


@lab_app.command(
    epilog=examples(
        "rabtriever lab baselines -w work",
        "rabtriever lab baselines -w work --system minilm --system kl_bi_encoder --temperature 2",
    ),
)
def baselines(
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="One of them.", show_default="those that train", autocompletion=baseline_names
        ),
    ] = None,
    learning_rate: Annotated[
        list[str] | None,
        typer.Option(metavar="SYSTEM=RATE", help="Peak learning rate.", show_default="teacher's"),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Divides both sides' scores in kl_bi_encoder's loss.")
    ] = 1.0,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Train further systems in a finished workspace and hold student and teacher to them.

    They are margin_mse_bi_encoder and kl_bi_encoder (bi-encoders distilled from the teacher),
    linear_reranker (a linear head instead of T and F, as in RankLLaMA) and minilm
    (all-MiniLM-L6-v2 as it is; `rabtriever fetch-model minilm`). All that train start where the
    teacher starts and have its data and schedule. Finished ones are kept, killed ones resume. They
    are measured on the report's queries, with the report's metrics and tests; writes
    measurements/baselines.json, .md.
    """
    from rabtriever_core.lab.baselines.measure import measure_baselines
    from rabtriever_core.lab.baselines.systems import TRAINED, Chosen
    from rabtriever_core.workspace import Workspace

    rates = dict(_rate(text) for text in learning_rate or ())
    chosen = Chosen(tuple(system or TRAINED), rates, temperature)
    path = measure_baselines(Workspace.open(workspace), chosen)
    if as_json:
        print_json(json.loads(path.read_text(encoding="utf-8")))
        return
    typer.echo(path.with_suffix(".md").read_text(encoding="utf-8"))
    typer.echo(f"written: {path}")


def _rate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ConfigError(
            f"--learning-rate {text!r}: expected SYSTEM=RATE, as in kl_bi_encoder=1e-3"
        ) from None


@lab_app.command(
    epilog=examples(
        "rabtriever lab results docs/results.tar.xz -o page.md",
        "rabtriever lab results docs/results.tar.xz --add work-17 --add results",
        "rabtriever lab results docs/results.tar.xz --table docs/results.md",
    ),
)
def results(
    stored: Annotated[Path, typer.Argument()],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The page.", show_default="FOLDER.md; none of FILE"),
    ] = None,
    added: Annotated[
        list[Path] | None,
        typer.Option("--add", help="A workspace with a finished report, or a folder of results."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Store workspaces under this name.", show_default="the data set's"),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="A page whose table of all data sets is written anew, and nothing else."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the results page from STORED: benchmarks, ablations, measurements.

    STORED is a folder, as `rabtriever lab benchmark` leaves it, or such a folder packed in one FILE
    that ends in .tar.xz. --add stores a workspace's results first, without any text of the data,
    and packs FILE anew. Ablations lie in ablations/, further measurements (any JSON with title and
    rows) in measurements/; a note.md there or in a data set's folder becomes part of the page.
    """
    from rabtriever_core.lab.results.add import add
    from rabtriever_core.lab.results.archive import is_archive, opened
    from rabtriever_core.lab.results.page import write_page
    from rabtriever_core.lab.results.table import update_table

    page = output or (None if is_archive(stored) else stored.with_suffix(".md"))
    if not (page or added or table):
        raise ConfigError(f"{stored}: say with -o where the page belongs, or what to --add")
    with opened(stored, change=bool(added)) as folder:
        for path in added or ():
            add(path, folder, name)
            typer.echo(f"stored: {path}", err=as_json)
        if page is not None:
            write_page(folder, page)
        if table is not None:
            update_table(folder, table)
    if as_json:
        print_json(
            {"stored": str(stored), "page": page and str(page), "table": table and str(table)}
        )
    elif page is not None:
        typer.echo(f"page: {page}")
