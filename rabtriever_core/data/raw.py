"""A raw BEIR folder as tables: nothing is judged here, every row keeps file and line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.dataset import qrels_files, read_jsonl, read_qrels_rows
from rabtriever_core.data.feedback import FEEDBACK, query_id, standing
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
    feedback_lines: int = 0
    """Lines of feedback.jsonl that were read; applications may have added others since."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that was read, relative to the folder."""
        feedback = (FEEDBACK,) if self.feedback_lines else ()
        return (CORPUS, QUERIES, *(qrels_file(split) for split in self.splits), *feedback)


def qrels_file(split: str) -> str:
    """Where the judgements of a split lie, relative to the folder."""
    return f"qrels/{split}.tsv"


def read_raw(folder: Path, train: str) -> RawTables:
    """Read a raw folder: a missing or unusable value becomes an empty one for the rules to find.

    Feedback that holds becomes judgements of the training split: of the query there that has the
    same text, else of a query of its own.

    Args:
        folder: BEIR layout.
        train: name of the training split.

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
    queries = _read_jsonl(folder, QUERIES, {"id": _id, "text": _text})
    splits = tuple(path.stem for path in paths)
    lines = 0
    # Without a training split the chain stops, and says so.
    if (folder / FEEDBACK).is_file() and train in splits:
        trained = {str(query) for *_, split, query, _, _ in judgements if split == train}
        asked, judged, lines = _feedback(folder, queries, trained)
        queries += asked
        judgements += [(*row[:3], train, *row[3:]) for row in judged]
    columns: dict[str, Callable[[dict[str, Any]], Any]] = {
        "id": _id,
        "title": _title,
        "text": _text,
        "metadata": stated_metadata,
    }
    return RawTables(
        corpus=_table(_read_jsonl(folder, CORPUS, columns), list(columns)),
        queries=_table(queries, ["id", "text"]),
        judgements=_table(judgements, ["split", "query", "document", "label"]),
        splits=splits,
        feedback_lines=lines,
    )


def _feedback(
    folder: Path, queries: list[tuple[Any, ...]], trained: set[str]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], int]:
    """Rows of feedback.jsonl that hold.

    Args:
        folder: the raw data set.
        queries: rows of queries.jsonl.
        trained: ids of the training split's queries.

    Returns:
        Queries (file, line, row, id, text), judgements (file, line, row, query, document, label),
        and the number of lines read.
    """
    rows = list(read_jsonl(folder / FEEDBACK))
    ids: dict[str, str] = {}
    for *_, id_, text in queries:
        if id_ in trained:
            ids.setdefault(normalised(text), id_)
    asked, judged = [], []
    for position in sorted(standing(row for _, row in rows).values()):
        line, row = rows[position]
        text = _string(row.get("query"))
        place, same = (FEEDBACK, line, row), normalised(text)
        if not same or same not in ids:
            ids[same] = query_id(text)
            asked.append((*place, ids[same], text))
        judged.append((*place, ids[same], _string(row.get("document_id")), str(row.get("label"))))
    return asked, judged, rows[-1][0] if rows else 0


def _read_jsonl(
    folder: Path, file: str, columns: dict[str, Callable[[dict[str, Any]], Any]]
) -> list[tuple[Any, ...]]:
    return [
        (file, line, row, *(value(row) for value in columns.values()))
        for line, row in read_jsonl(folder / file)
    ]


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
