"""Rows of queries with their documents: pairs, triplets, lists, judged pairs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rabtriever_core.config import ValidationConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.data.importers import cells
from rabtriever_core.data.importers.columns import Roles, Said, corpus_roles, roles_of
from rabtriever_core.data.importers.examples import Example, LeftOut, Source
from rabtriever_core.data.importers.splits import is_split_name
from rabtriever_core.data.importers.tables import Table
from rabtriever_core.errors import DatasetError

LABELS = ValidationConfig().labels
"""Of qrels, as the validation takes them."""


class _UnusableRowError(Exception):
    """Why a row is left out."""


def read_pairs(tables: Sequence[Table], said: Said, corpus: Table | None = None) -> Source:
    """Examples from rows: of each a query, and its right and wrong documents.

    A cell holds a text, a list of texts, or objects with a text and an id (Tevatron). Where there
    is a corpus, it holds ids of the corpus's documents.

    Args:
        tables: one for each split, or one for all.
        said: names of columns that the user gave.
        corpus: a table of documents.

    Raises:
        DatasetError: a column is missing or cannot be told, or is unfit to split by.
    """
    source = Source("queries with their documents")
    if corpus is not None:
        _read_corpus(corpus, said, source)
    ids = {document.id for _, document in source.documents}
    roles = roles_of(tables, said, corpus=corpus is not None)
    kind = _kind_of_split(tables, roles.split_by)
    numbers = _number_columns(tables, roles.metadata)
    for table in tables:
        source.notes += [f"{table.name}: {note}" for note in table.notes]
        source.left_out += table.left_out
        for place, row in table.rows:
            try:
                example = _example(place, row, roles, numbers, table)
                if corpus is not None:
                    example = replace(example, judged=_known(example, ids, corpus.name))
                source.examples.append(_placed(example, row, roles.split_by, kind))
            except _UnusableRowError as why:
                source.left_out.append(LeftOut(place, str(why)))
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    source.notes += roles.in_words(columns)
    return source


def _example(
    place: str, row: dict[str, Any], roles: Roles, numbers: set[str], table: Table
) -> Example:
    query = cells.items_of(row.get(roles.query), as_text=False)
    if len(query) != 1 or not isinstance(query[0], str):
        raise _UnusableRowError(
            f"column {roles.query!r} holds a list or an object, not one text"
            if query
            else f"column {roles.query!r} is empty"
        )
    documents = _documents(row, roles.positive, table)
    wrong = _documents(row, roles.negative, table)
    if not documents and not wrong:
        named = " and ".join(map(repr, (*roles.positive, *roles.negative)))
        raise _UnusableRowError(f"column {named} is empty")
    documents = _described(documents, row, roles, numbers)
    label = _label(row, roles.label)
    answers = cells.answers_of(row.get(roles.answers), as_text=table.as_text)
    return Example(
        place,
        query[0],
        (*((document, label) for document in documents), *((document, 0) for document in wrong)),
        query_id=cells.text_of(row.get(roles.query_id)),
        split=cells.text_of(row.get(roles.split)) or table.split,
        answers=answers if roles.answers else (),
    )


def _documents(row: dict[str, Any], columns: Sequence[str], table: Table) -> list[Document]:
    found = []
    for column in columns:
        for item in cells.items_of(row.get(column), as_text=table.as_text):
            document = cells.document_of(item)
            if document is None:
                raise _UnusableRowError(f"column {column!r} holds something that has no text")
            found.append(document)
    return found


def _described(
    documents: list[Document], row: dict[str, Any], roles: Roles, numbers: set[str]
) -> list[Document]:
    """Documents with the id, title and metadata of their row."""
    ids = [cells.text_of(id_) for id_ in cells.items_of(row.get(roles.id), as_text=True)]
    if ids and len(ids) != len(documents):
        raise _UnusableRowError(
            f"column {roles.id!r} does not hold as many ids as there are documents"
        )
    if ids:
        documents = [replace(d, id=id_) for d, id_ in zip(documents, ids, strict=True)]
    title = cells.text_of(row.get(roles.title)) if roles.title else ""
    metadata = _metadata(row, roles.metadata, numbers)
    return [replace(d, title=d.title or title, metadata=metadata) for d in documents]


def _metadata(row: dict[str, Any], columns: Sequence[str], numbers: set[str]) -> dict[str, Any]:
    return {
        name: cells.metadata_of(row[name], numbers=name in numbers)
        for name in columns
        if cells.text_of(row.get(name))
    }


def _number_columns(tables: Sequence[Table], columns: Sequence[str]) -> set[str]:
    """Those that hold numbers and nothing else."""
    held = {
        name: [
            row[name] for table in tables for _, row in table.rows if cells.text_of(row.get(name))
        ]
        for name in columns
    }
    return {name for name, values in held.items() if values and all(map(cells.is_number, values))}


def _label(row: dict[str, Any], column: str) -> int:
    if not column:
        return 1
    label = cells.label_of(row.get(column))
    if label not in LABELS:
        allowed = ", ".join(map(str, LABELS))
        raise _UnusableRowError(
            f"column {column!r} holds {cells.text_of(row.get(column))!r:.40}, and labels are "
            f"{allowed} (0: wrong; above: right)"
        )
    return label


def _known(example: Example, ids: set[str], corpus: str) -> tuple[tuple[str, int], ...]:
    """The judged ids of a corpus; a cell may hold several, parted by commas or the like."""
    judged = []
    for document, label in example.judged:
        said = document.text if isinstance(document, Document) else document
        for part in [said] if said in ids else cells.parted(said):
            if part not in ids:
                raise _UnusableRowError(f"{corpus} has no document of the id {part!r:.40}")
            judged.append((part, label))
    return tuple(judged)


def _read_corpus(corpus: Table, said: Said, source: Source) -> None:
    roles = corpus_roles(corpus, said)
    numbers = _number_columns([corpus], roles.metadata)
    for place, row in corpus.rows:
        id_, text = cells.text_of(row.get(roles.id)), cells.text_of(row.get(roles.positive[0]))
        title = cells.text_of(row.get(roles.title))
        if not id_ or not (text or title):
            lacking = roles.id if not id_ else roles.positive[0]
            source.left_out.append(LeftOut(place, f"column {lacking!r} is empty"))
            continue
        metadata = _metadata(row, roles.metadata, numbers)
        source.documents.append((place, Document(id_, text, title, metadata)))
    source.left_out += corpus.left_out
    notes = [*corpus.notes, *roles.in_words(corpus.columns)]
    source.notes += [f"{corpus.name}: {note}" for note in notes]


def _kind_of_split(tables: Sequence[Table], column: str) -> str:
    """What a column that splits are made by holds: split names, times, or groups."""
    values = [row.get(column) for table in tables for _, row in table.rows]
    values = [value for value in values if cells.text_of(value)]
    if not column or not values:
        return ""
    if all(is_split_name(cells.text_of(value)) for value in values):
        return "split"
    times = [cells.time_of(value) for value in values]
    if all(time is not None for time in times):
        if len({isinstance(time, datetime) for time in times}) > 1:
            raise DatasetError(f"column {column!r} holds both dates and numbers")
        return "time"
    if odd := [value for value in values if cells.is_other_date(value)]:
        raise DatasetError(
            f"column {column!r} holds {cells.text_of(odd[0])!r}, whose day and month have to be "
            "guessed: write dates as 2024-12-31"
        )
    return "group"


def _placed(example: Example, row: dict[str, Any], column: str, kind: str) -> Example:
    """An example with what its split follows from."""
    if not column:
        return example
    value = row.get(column)
    if not (said := cells.text_of(value)):
        raise _UnusableRowError(f"column {column!r} is empty, which splits are made by")
    if kind == "time":
        return replace(example, time=cells.time_of(value), split="")
    return (
        replace(example, split=said) if kind == "split" else replace(example, group=said, split="")
    )
