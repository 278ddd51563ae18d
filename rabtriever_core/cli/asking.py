"""`rabtriever query`: questions to the served release."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from rabtriever_core.cli.answers import hit_table, something_fits, verdict_line
from rabtriever_core.cli.application import ASK, RERANK, RerankAlone, app, examples
from rabtriever_core.cli.filters import read_filter
from rabtriever_core.cli.options import UrlOption, WorkspaceOption, print_json
from rabtriever_core.errors import DatasetError, RabtrieverError
from rabtriever_core.workspace.encodable import encodable

if TYPE_CHECKING:
    from rabtriever_core.serving.answers import Answer
    from rabtriever_core.serving.any_retriever import AnyRetriever
    from rabtriever_core.serving.remote import RemoteRetriever

RerankOption = Annotated[
    str,
    typer.Option(
        click_type=click.Choice(list(RERANK)),
        metavar="[WHEN]",
        help="Let the teacher put the first documents in order: always, which is meant where "
        "nothing follows; auto, where the student is unsure; or never.",
    ),
]

_BATCH = 64


@app.command(
    cls=RerankAlone,
    rich_help_panel=ASK,
    epilog=examples(
        'rabtriever query "I snapped at my kids again." -k 3',
        'rabtriever query "What is the capital of France?" --min-probability 0.5',
        'rabtriever query "Ich bin so müde." --filter lang=de --filter \'{"year": {"gte": 2020}}\'',
        "rabtriever query --queries questions.txt --rerank auto --json > answers.jsonl",
    ),
)
def query(
    text: Annotated[str | None, typer.Argument(show_default=False)] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Documents to show.")] = 5,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="A condition on metadata, or a JSON object of them.",
        ),
    ] = None,
    rerank: RerankOption = "never",
    min_probability: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least calibrated probability of an answer.", show_default="fitted"
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Several queries, one a line, from a file, or from stdin: -.", allow_dash=True
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one object, on a line, of every query.")
    ] = False,
    url: UrlOption = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Ask the served release: the documents that answer TEXT best.

    Where `rabtriever serve` runs for the workspace on this machine, it answers, at once; otherwise
    models are loaded for the answer.

    Probabilities are calibrated on the dev split, and so is the least one of an answer. Exit codes:
    0 where something fits every query, or nothing is refused because no threshold was fitted; 1
    where nothing fits one of them; 2 for an error.
    """
    asked = _asked(text, queries)
    conditions = read_filter(filters or ())
    options = {"filter": conditions, "min_probability": min_probability, "rerank": RERANK[rerank]}
    unfit = 0
    answers = _answers(url, workspace, asked, k, **options)
    for position, (question, answer) in enumerate(answers):
        unfit += not something_fits(answer.hits)
        if as_json:
            print_json(_plain(question, answer), indent=None)
            continue
        if queries is not None:
            typer.echo(f"{'' if position == 0 else chr(10)}{question}")
        typer.echo(_shown(answer, min_probability))
    if unfit:
        raise typer.Exit(1)


def _asked(text: str | None, file: Path | None) -> list[str]:
    """The queries of the command line or of a file.

    Raises:
        UsageError: there are none, or both.
        DatasetError: the file cannot be read.
    """
    if (text is None) == (file is None):
        raise click.UsageError("give either TEXT or --queries FILE")
    if text is not None:
        if not text.strip():
            raise click.UsageError("TEXT is empty: a query must have text")
        return [encodable(text)]
    try:
        read = sys.stdin.read() if str(file) == "-" else Path(file or "").read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"--queries {file} cannot be read: {error}") from None
    lines = [line.strip() for line in read.removeprefix("\ufeff").split("\n") if line.strip()]
    if not lines:
        raise DatasetError(f"--queries {file} has no query: expected one a line")
    return lines


def _answers(
    url: str | None, workspace: Path, queries: list[str], k: int, **options: Any
) -> "Iterator[tuple[str, Answer]]":
    """Query by query, answered in batches, with a bar where somebody watches.

    A service that was only found, not named, may fail: then the rest is answered here.
    """
    from tqdm import tqdm

    from rabtriever_core.serving.retriever import Retriever

    quiet = True if len(queries) == 1 else None
    with ExitStack() as opened:
        found = None if url else _service(workspace)
        retriever: AnyRetriever = (
            Retriever.connect(url) if url else found or Retriever.open(workspace)
        )
        opened.enter_context(retriever)
        bar = opened.enter_context(
            tqdm(total=len(queries), unit="query", file=sys.stderr, disable=quiet)
        )
        for start in range(0, len(queries), _BATCH):
            batch = queries[start : start + _BATCH]
            try:
                answers = retriever.search_batch(batch, k, **options)
            except (RabtrieverError, ValueError) as error:
                if retriever is not found:
                    raise
                typer.echo(f"not answered by the service, so here: {error}", err=True)
                retriever = opened.enter_context(Retriever.open(workspace))
                answers = retriever.search_batch(batch, k, **options)
            yield from zip(batch, answers, strict=True)
            bar.update(len(batch))


def _service(workspace: Path) -> "RemoteRetriever | None":
    from rabtriever_core.serving.announcement import running_service
    from rabtriever_core.workspace import Workspace

    found = running_service(Workspace.open(workspace))
    if found is not None:
        typer.echo(f"answered by the service at {found.url}", err=True)
    return found


def _plain(question: str, answer: "Answer") -> dict[str, Any]:
    return {
        "query": question,
        "release": answer.release.id,
        "reranked": answer.reranked,
        "hits": [asdict(hit) for hit in answer.hits],
    }


def _shown(answer: "Answer", min_probability: float | None) -> str:
    if not answer.hits:
        return "no document passes the filter"
    words = verdict_line(answer.hits, answer.calibration, min_probability)
    return f"{hit_table(answer.hits)}\n\n{words}"
