"""A raw BEIR folder as tables: nothing is judged here, every row keeps file and line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.dataset import qrels_files, read_jsonl, read_qrels_rows
from rabtriever_core.data.metadata import stated_metadata

if TYPE_CHECKING:
    from pandas import DataFrame

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"


@dataclass(frozen=True)
class RawTables:
    """The rows as they stand in the files; `row` is the original, `place` is `file:line`."""

    corpus: "DataFrame"
    """place, file, line, row, id, title, text, metadata (as it stands; {} where there is none)."""
    queries: "DataFrame"
    """place, file, line, row, id, text."""
    judgements: "DataFrame"
    """place, file, line, row, split, query, document, label (text, as written)."""
    splits: tuple[str, ...]
    """Names of the qrels files, sorted."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that was read, relative to the folder."""
        return (CORPUS, QUERIES, *(qrels_file(split) for split in self.splits))


def qrels_file(split: str) -> str:
    """Where the judgements of a split lie, relative to the folder."""
    return f"qrels/{split}.tsv"


def read_raw(folder: Path) -> RawTables:
    """Read a raw folder: a missing or unusable value becomes an empty one for the rules to find.

    Raises:
        DatasetError: a file is missing, or a line has not even the shape of a row (malformed JSON,
            wrong number of columns); names file and line.
    """
    paths = qrels_files(folder)
    judgements = [
        (qrels_file(path.stem), line, row, path.stem, *row)
        for path in paths
        for line, row in read_qrels_rows(path)
    ]
    return RawTables(
        corpus=_read_jsonl(
            folder, CORPUS, {"id": _id, "title": _title, "text": _text, "metadata": stated_metadata}
        ),
        queries=_read_jsonl(folder, QUERIES, {"id": _id, "text": _text}),
        judgements=_table(judgements, ["split", "query", "document", "label"]),
        splits=tuple(path.stem for path in paths),
    )


def _read_jsonl(
    folder: Path, file: str, columns: dict[str, Callable[[dict[str, Any]], Any]]
) -> "DataFrame":
    rows = [
        (file, line, row, *(value(row) for value in columns.values()))
        for line, row in read_jsonl(folder / file)
    ]
    return _table(rows, list(columns))


def _table(rows: list[tuple[Any, ...]], columns: list[str]) -> "DataFrame":
    from pandas import DataFrame, Index

    # Plain objects: pandas' own text type may refuse lone surrogates, which a rule reports.
    table = DataFrame(rows, columns=Index(["file", "line", "row", *columns]), dtype=object)
    table.insert(0, "place", [f"{file}:{line}" for file, line, *_ in rows])
    return table


def _id(row: dict[str, Any]) -> str:
    return _string(row.get("_id"))


def _text(row: dict[str, Any]) -> str:
    return _string(row.get("text"))


def _title(row: dict[str, Any]) -> str:
    return str(row.get("title") or "")


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
