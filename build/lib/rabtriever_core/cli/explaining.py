"""`rabtriever explain`: one document for one query, through the eyes of both models."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from rabtriever_core.cli.answers import one_line
from rabtriever_core.cli.application import ASK, app, examples
from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json
from rabtriever_core.workspace.encodable import encodable

if TYPE_CHECKING:
    from rabtriever_core.serving.explanation import Explanation, Placed, Reading


@app.command(
    rich_help_panel=ASK,
    epilog=examples(
        'rabtriever explain "I snapped at my kids again." support-003',
        'rabtriever explain "I snapped at my kids again." support-003 --depth 200 --json',
    ),
)
def explain(
    query: Annotated[str, typer.Argument()],
    document_id: Annotated[str, typer.Argument(metavar="DOC_ID")],
    depth: Annotated[
        int,
        typer.Option(min=1, max=1000, help="First documents of the student the teacher reads."),
    ] = 50,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Say why the document DOC_ID is where it is for QUERY, in the served release.

    Margins (T − F logits) of student and teacher, the document's place in both rankings, the
    calibrated probability, and what of the texts was too long to be read. The student's place is
    exact, down to 1000; the teacher's is among the student's first ones and the document itself.
    """
    from rabtriever_core.serving.explanation import explain as explain_document
    from rabtriever_core.serving.retriever import Retriever

    if not query.strip():
        raise click.UsageError("QUERY is empty: a query must have text")
    with Retriever.open(workspace) as retriever:
        found = explain_document(retriever, encodable(query), encodable(document_id), depth=depth)
    if as_json:
        print_json(found.plain())
        return
    typer.echo(_shown(found))


def _shown(found: "Explanation") -> str:
    width = max(40, shutil.get_terminal_size().columns)
    document = found.document
    lines = [
        f"document {document.id}, release {found.release}",
        f"  {one_line(document.title, document.text, width - 2)}",
        "",
        f"{'':<9}{'margin':>8}  {'probability':>11}  place",
        _row("student", found.student, f"of {found.documents} documents"),
        _row(
            "teacher",
            found.teacher,
            f"of the {found.teacher.looked_at} it read: the student's first, and this one",
        ),
        "",
        _best("student", found.student, document.id, width),
        _best("teacher", found.teacher, document.id, width),
        "",
        _verdict(found),
        _read("query", found.query_reading, "start"),
        _read("document", found.document_reading, "end"),
    ]
    return "\n".join(lines)


def _row(name: str, placed: "Placed", among: str) -> str:
    place = f"> {placed.looked_at}" if placed.position is None else str(placed.position)
    return f"{name:<9}{placed.margin:>8.3f}  {placed.probability:>11.3f}  {place} {among}"


def _best(name: str, placed: "Placed", shown: str, width: int) -> str:
    head = f"{name}'s best: {placed.best_margin:.3f}  {placed.best.id}"
    if placed.best.id == shown:
        return f"{head}  (this document)"
    room = width - len(head) - 2
    return f"{head}  {one_line(placed.best.title, placed.best.text, max(20, room))}"


def _verdict(found: "Explanation") -> str:
    said = f"probability (calibrated on dev): {found.probability:.3f}"
    if found.threshold is None:
        return f"{said}; no threshold was fitted, so nothing is refused"
    words = "it fits" if found.fits else "it does not fit"
    return f"{said}; an answer needs {found.threshold:.3f}: {words}"


def _read(name: str, reading: "Reading", where: str) -> str:
    if not reading.cut:
        return f"{name}: {reading.tokens} tokens, all read (limit {reading.limit})"
    return (
        f"{name}: {reading.tokens} tokens, {reading.limit} read; cut off at its {where}: "
        f"{reading.cut}"
    )
