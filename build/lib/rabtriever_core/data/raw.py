"""A raw BEIR folder as tables: nothing is judged here, every row keeps file and line."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.dataset import qrels_files, read_jsonl, read_qrels_rows
from rabtriever_core.data.feedback import FEEDBACK, query_id, standing
from rabtriever_core.data.layouts import (
    DOCUMENT_ID,
    DOCUMENT_TEXT,
    QUERY_ID,
    QUERY_TEXT,
    Noted,
    id_text,
    label_text,
    stated,
)
from rabtriever_core.data.metadata import stated_metadata

if TYPE_CHECKING:
    from pandas import DataFrame

Columns = dict[str, Callable[[dict[str, Any]], Any]]
"""Column → its value of a row."""

CORPUS = "corpus.jsonl"
QUERIES = "queries.jsonl"


@dataclass(frozen=True)
class RawTables:
    """The rows as they stand in the files; `row` is the original, `place` is `file:line`."""

    corpus: "DataFrame"
    """place, file, line, row, id, title, text, metadata (as it stands; {} where there is none)."""
    queries: "DataFrame"
    """place, file, line, row, id, text, excluded (ids; None where it is no list of them)."""
    judgements: "DataFrame"
    """place, file, line, row, split, query, document, label (text)."""
    splits: tuple[str, ...]
    """Names of the qrels files, sorted."""
    feedback_lines: int = 0
    """Lines of feedback.jsonl that were read; applications may have added others since."""
    noted: dict[str, Noted] = field(default_factory=dict)
    """File → what was read otherwise than it is written → how often (see `data.layouts`)."""

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
    noted: dict[str, Noted] = defaultdict(Counter)
    judgements = []
    for path in paths:
        file = qrels_file(path.stem)
        for line, row in read_qrels_rows(path, noted[file]):
            query, document, label = row
            label = label_text(label, noted[file])
            judgements.append((file, line, row, path.stem, query, document, label))
    asking: Columns = {
        "id": lambda row: id_text(stated(row, QUERY_ID, noted[QUERIES]), noted[QUERIES]),
        "text": lambda row: _string(stated(row, QUERY_TEXT, noted[QUERIES])),
        "excluded": lambda row: excluded_ids(row, noted[QUERIES]),
    }
    queries = _read_jsonl(folder, QUERIES, asking)
    splits = tuple(path.stem for path in paths)
    lines = 0
    # Without a training split the chain stops, and says so.
    if (folder / FEEDBACK).is_file() and train in splits:
        trained = {str(query) for *_, split, query, _, _ in judgements if split == train}
        asked, judged, lines = _feedback(folder, queries, trained, noted[FEEDBACK])
        queries += asked
        judgements += [(*row[:3], train, *row[3:]) for row in judged]
    holding: Columns = {
        "id": lambda row: id_text(stated(row, DOCUMENT_ID, noted[CORPUS]), noted[CORPUS]),
        "title": _title,
        "text": lambda row: _string(stated(row, DOCUMENT_TEXT, noted[CORPUS])),
        "metadata": stated_metadata,
    }
    return RawTables(
        corpus=_table(_read_jsonl(folder, CORPUS, holding), list(holding)),
        queries=_table(queries, list(asking)),
        judgements=_table(judgements, ["split", "query", "document", "label"]),
        splits=splits,
        feedback_lines=lines,
        noted={file: counts for file, counts in sorted(noted.items()) if counts},
    )


def excluded_ids(row: dict[str, Any], noted: Noted) -> tuple[str, ...] | None:
    """Documents that a query's ranking leaves out; None where `excluded_ids` is no list of ids."""
    value = row.get("excluded_ids")
    if value is None:
        return ()
    if not isinstance(value, list):
        return None
    ids = tuple(dict.fromkeys(id_text(one, noted, "an excluded id") for one in value))
    return ids if all(ids) else None


def _feedback(
    folder: Path, queries: list[tuple[Any, ...]], trained: set[str], noted: Noted
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], int]:
    """Rows of feedback.jsonl that hold.

    Args:
        folder: the raw data set.
        queries: rows of queries.jsonl.
        trained: ids of the training split's queries.
        noted: counts what is read otherwise than it is written.

    Returns:
        Queries (file, line, row, id, text, excluded), judgements (file, line, row, query,
        document, label), and the number of lines read.
    """
    rows = list(read_jsonl(folder / FEEDBACK))
    ids: dict[str, str] = {}
    for *_, id_, text, _excluded in queries:
        if id_ in trained:
            ids.setdefault(normalised(text), id_)
    asked, judged = [], []
    for position in sorted(standing(row for _, row in rows).values()):
        line, row = rows[position]
        text = _string(row.get("query"))
        place, same = (FEEDBACK, line, row), normalised(text)
        if not same or same not in ids:
            ids[same] = query_id(text)
            asked.append((*place, ids[same], text, ()))
        document = id_text(row.get("document_id"), noted, "document_id")
        judged.append((*place, ids[same], document, label_text(str(row.get("label")), noted)))
    return asked, judged, rows[-1][0] if rows else 0


def _read_jsonl(folder: Path, file: str, columns: Columns) -> list[tuple[Any, ...]]:
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


def _title(row: dict[str, Any]) -> str:
    return str(row.get("title") or "")


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
