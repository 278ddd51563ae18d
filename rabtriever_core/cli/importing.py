"""`rabtriever import`: people's own data as a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rabtriever_core.cli.application import MAKE, app, examples
from rabtriever_core.cli.options import JsonOption, print_json
from rabtriever_core.data.importers.examples import Layout
from rabtriever_core.errors import DatasetError

if TYPE_CHECKING:
    from rabtriever_core.data.importers.assembly import Imported
    from rabtriever_core.data.importers.splits import Shares

_SAMPLE = 2
_REASONS = 5
_WIDTH = 78


def _column(help_: str) -> Any:
    return typer.Option(metavar="COLUMN", help=help_, show_default="guessed")


@app.command(
    "import",
    rich_help_panel=MAKE,
    epilog=examples(
        "rabtriever import questions.csv support",
        "rabtriever import questions.csv support --query Frage --positive Antwort",
        "rabtriever import questions.xlsx support --corpus articles.csv",
        "rabtriever import sentence-transformers/all-nli nli --subset triplet",
    ),
)
def import_data(
    source: Annotated[str, typer.Argument()],
    folder: Annotated[Path, typer.Argument()],
    query: Annotated[str, _column("The queries.")] = "",
    positive: Annotated[
        list[str] | None, _column("Their right documents, or with --label all documents.")
    ] = None,
    negative: Annotated[list[str] | None, _column("Documents known to be wrong.")] = None,
    id_: Annotated[str, typer.Option("--id", metavar="COLUMN", help="Ids of documents.")] = "",
    title: Annotated[str, _column("Titles of documents.")] = "",
    label: Annotated[str, _column("0 for wrong, 1 to 3 for right.")] = "",
    answers: Annotated[str, _column("Accepted answers, for answers.jsonl.")] = "",
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="What searches filter by; may be repeated."),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="A table of all documents; --positive then holds their ids."),
    ] = None,
    layout: Annotated[
        Layout | None, typer.Option(help="What SOURCE is.", show_default="told by its content")
    ] = None,
    subset: Annotated[
        str, typer.Option(help="A configuration on the hub, or an Excel sheet.")
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="Of a text file.", show_default="told by its content")
    ] = "",
    split_by: Annotated[
        str | None,
        typer.Option(
            metavar="query|document|COLUMN",
            help="Makes splits anew: queries of one text, of one right document, or by a column: "
            "in its order where it holds times or numbers, else what is equal stays together.",
            show_default="query, where SOURCE has no splits",
        ),
    ] = None,
    shares: Annotated[
        str, typer.Option(metavar="TRAIN/DEV/TEST", help="Percent of the queries.")
    ] = "80/10/10",
    force: Annotated[bool, typer.Option("--force", help="Replace the data set in FOLDER.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a data set in BEIR layout of what you have.

    SOURCE is a table (CSV, TSV, JSON Lines, JSON, Parquet, Excel), a folder with one table per
    split, a Hugging Face data set (its id or folder), or MS MARCO's, ESConv's, PsyQA's, SayCan's or
    ALFRED's published files. FOLDER is the new data set; `rabtriever init --data` takes it.
    """
    from rabtriever_core.data.importers.assembly import assemble
    from rabtriever_core.data.importers.columns import Said
    from rabtriever_core.data.importers.sources import read_source
    from rabtriever_core.data.importers.writing import check_target, write_imported

    wanted = _shares(shares)
    check_target(folder, force=force)
    by = split_by if split_by in ("query", "document") else None
    said = Said(
        query=query,
        positive=tuple(positive or ()),
        negative=tuple(negative or ()),
        id=id_,
        title=title,
        label=label,
        answers=answers,
        metadata=tuple(metadata or ()),
        split_by=split_by or "" if by is None else "",
    )
    read = read_source(source, said, layout=layout, corpus=corpus, subset=subset, encoding=encoding)
    imported = assemble(read, folder.resolve().name, wanted, by)
    write_imported(imported, folder, force=force)
    if as_json:
        print_json(_record(imported, folder))
    else:
        _say(imported, source, folder)


def _shares(said: str) -> "Shares":
    from rabtriever_core.data.importers.splits import Shares

    try:
        train, dev, test = (float(part) for part in said.split("/"))
    except ValueError:
        train = dev = test = -1.0
    if min(train, dev, test) < 0 or train == 0 or abs(train + dev + test - 100) > 1e-6:
        raise DatasetError(
            f"--shares {said}: expected percent of train, dev and test that make 100, such as "
            "80/10/10"
        )
    return Shares(train / 100, dev / 100, test / 100)


def _record(imported: "Imported", folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "layout": imported.layout,
        "documents": len(imported.dataset.documents),
        "splits": _counts(imported),
        "answers": len(imported.answers),
        "notes": imported.notes,
        "left_out": [{"place": one.place, "reason": one.reason} for one in imported.left_out],
    }


def _counts(imported: "Imported") -> dict[str, dict[str, int]]:
    return {
        split: {
            "queries": len(qrels),
            "right": sum(label > 0 for labels in qrels.values() for label in labels.values()),
            "wrong": sum(label <= 0 for labels in qrels.values() for label in labels.values()),
        }
        for split, qrels in imported.dataset.qrels.items()
    }


def _say(imported: "Imported", source: str, folder: Path) -> None:
    from rabtriever_core.data.importers.assembly import reasons

    typer.echo(f"{source}: {imported.layout}")
    for note in imported.notes:
        typer.echo(f"  {note}")
    if imported.left_out:
        typer.echo(f"\nleft out: {len(imported.left_out):,}")
        found = list(reasons(imported.left_out).items())
        for reason, places in found[:_REASONS]:
            more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
            typer.echo(f"  {places[0]}{more}: {reason}")
        if len(found) > _REASONS:
            typer.echo(f"  … and {len(found) - _REASONS:,} other reasons (--json lists all)")
    typer.echo(f"\n{folder}: {len(imported.dataset.documents):,} documents")
    counts = _counts(imported)
    width = max(map(len, counts))
    typer.echo(f"  {'split':<{width}}  {'queries':>8}  {'right':>8}  {'wrong':>8}")
    for split, numbers in counts.items():
        cells = "  ".join(f"{number:>8,}" for number in numbers.values())
        typer.echo(f"  {split:<{width}}  {cells}")
    if imported.answers:
        typer.echo(f"  answers.jsonl: answers of {len(imported.answers):,} queries")
    _say_sample(imported)
    _say_next(imported, folder)


def _say_sample(imported: "Imported") -> None:
    documents = {document.id: document for document in imported.dataset.documents}
    split, qrels = next(iter(imported.dataset.qrels.items()))
    typer.echo(f"\nthe first of {split}:")
    for id_, labels in list(qrels.items())[:_SAMPLE]:
        typer.echo(f"  query  {_short(imported.dataset.queries[id_])}")
        for document, label in sorted(labels.items(), key=lambda pair: -pair[1])[:_SAMPLE]:
            verdict = "right" if label > 0 else "wrong"
            typer.echo(f"  {verdict}  {_short(documents[document].full_text)}")


def _say_next(imported: "Imported", folder: Path) -> None:
    from rabtriever_core.config import ValidationConfig

    enough = ValidationConfig().min_train_queries
    train = imported.dataset.qrels.get("train", {})
    right = sum(max(labels.values()) > 0 for labels in train.values())
    if right < enough:
        typer.secho(
            f"\n{right} training queries have a right document: the pipeline stops below {enough} "
            "(validation.min_train_queries)",
            fg=typer.colors.YELLOW,
        )
    typer.echo(f"\nnext: rabtriever init my-work --data {folder}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
