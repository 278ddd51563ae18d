"""Files with rows and columns: CSV, TSV, JSON Lines, JSON, Parquet, Excel."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import read_jsonl
from rabtriever_core.data.importers.delimited import decoded, rows_of
from rabtriever_core.data.importers.examples import LeftOut, missing_library
from rabtriever_core.errors import DatasetError

DELIMITED = (".csv", ".tsv", ".txt")
JSON = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*DELIMITED, *JSON, ".parquet", ".xlsx", ".xlsm")
"""Of files that hold a table."""


@dataclass
class Table:
    """Rows of one file or split, with names of their columns."""

    name: str
    """Of the file, as messages name it."""
    rows: list[tuple[str, dict[str, Any]]]
    """Where each stands, and its values by column."""
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    split: str = ""
    """What the source calls the split that all rows belong to."""
    as_text: bool = False
    """Whether cells are text and nothing else: lists and numbers stand in it."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order, of all rows."""
        return list(dict.fromkeys(name for _, row in self.rows for name in row))


def read_table(path: Path, sheet: str = "", encoding: str = "", split: str = "") -> Table:
    """Read a file by its suffix.

    Args:
        path: the file.
        sheet: of an Excel file; its first without one.
        encoding: of a text with separators; found out without one.
        split: that its rows belong to.

    Raises:
        DatasetError: the suffix is unknown, or the file is not what its suffix says.
    """
    suffix = path.suffix.lower()
    if suffix in DELIMITED:
        table = _delimited(path, encoding)
    elif suffix in JSON:
        table = Table(path.name, _json(path))
    elif suffix == ".parquet":
        table = _parquet(path)
    elif suffix in SUFFIXES:
        table = _excel(path, sheet)
    else:
        raise DatasetError(
            f"{path}: cannot tell what a {suffix or 'file without a suffix'} holds; tables end in "
            f"{', '.join(SUFFIXES)}"
        )
    table.split = split
    if not table.rows:
        raise DatasetError(f"{path} has no rows")
    return table


def _delimited(path: Path, encoding: str) -> Table:
    text, said = decoded(path, encoding)
    separators, rows = rows_of(text, path)
    names: list[str] = []
    table = Table(path.name, [], notes=[f"columns parted by {separators}"], as_text=True)
    table.notes += [said] if said else []
    for number, cells in rows:
        place = f"{path.name}, row {number}"
        if isinstance(cells, str):
            table.left_out.append(LeftOut(place, cells))
        elif not names:
            names = _names(cells, path)
        elif len(cells) != len(names):
            counts = f"{len(cells)} columns where the first row has {len(names)}"
            table.left_out.append(
                LeftOut(place, f"{counts}: quote texts that hold the separator or a line end")
            )
        else:
            table.rows.append((place, dict(zip(names, cells, strict=True))))
    return table


def _names(cells: Sequence[Any], path: Path) -> list[str]:
    names = [
        str(cell).strip() if cell not in (None, "") else f"column {number}"
        for number, cell in enumerate(cells, start=1)
    ]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DatasetError(
            f"{path}: several columns are called {min(twice)!r}: give each its own name"
        )
    return names


def _json(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Objects of JSON Lines, or of one array."""
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"["):
        return [(f"{path.name}, line {number}", row) for number, row in read_jsonl(path)]
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON ({error})") from None
    return [
        (f"{path.name}, entry {number}", row) for number, row in enumerate(_objects(rows, path), 1)
    ]


def _objects(rows: Iterable[Any], path: Path) -> list[dict[str, Any]]:
    found = list(rows)
    for number, row in enumerate(found, start=1):
        if not isinstance(row, dict):
            raise DatasetError(f"{path}, entry {number}: expected an object, got {row!r:.80}")
    return found


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise missing_library("Parquet", error) from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowInvalid, OSError) as error:
        raise DatasetError(f"{path}: cannot be read as Parquet ({error})") from None
    return Table(path.name, [(f"{path.name}, row {n}", row) for n, row in enumerate(rows, 1)])


def _excel(path: Path, sheet: str) -> Table:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise missing_library("Excel", error) from error
    from zipfile import BadZipFile

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as an Excel file ({error})") from None
    names = book.sheetnames
    if sheet and sheet not in names:
        raise DatasetError(f"{path} has no sheet {sheet!r}; it has {', '.join(map(repr, names))}")
    chosen = sheet or names[0]
    table = Table(path.name, [], notes=[f"sheet {chosen!r}"], as_text=True)
    if len(names) > 1 and not sheet:
        table.notes[0] += f", the first of {len(names)} (--subset names another)"
    columns: list[str] = []
    for number, cells in enumerate(book[chosen].iter_rows(values_only=True), start=1):
        if all(cell is None or str(cell).strip() == "" for cell in cells):
            continue
        if not columns:
            width = max(at for at, cell in enumerate(cells, 1) if cell is not None)
            columns = _names(cells[:width], path)
        else:
            row = dict(zip(columns, cells, strict=False))
            table.rows.append((f"{path.name}, row {number}", row))
    book.close()
    return table
