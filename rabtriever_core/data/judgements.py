"""Queries and judgements of a BEIR folder, whoever made it."""

from dataclasses import dataclass
from pathlib import Path

from rabtriever_core.data.dataset import Qrels, qrels_files, read_jsonl, read_qrels_rows
from rabtriever_core.errors import DatasetError


@dataclass(frozen=True)
class Judged:
    """The queries of one split that have a right document."""

    queries: dict[str, str]
    """Query id → text, in order of the ids."""
    qrels: Qrels

    def right(self, query: str) -> set[str]:
        """Ids of a query's right documents."""
        return {document for document, label in self.qrels[query].items() if label > 0}


def read_judged(folder: Path, split: str) -> Judged:
    """Read `queries.jsonl` and `qrels/<split>.tsv`; the corpus is not looked at.

    Raises:
        DatasetError: a file is missing, a row is malformed, no query has a right document, or one
            has no text; names file and line.
    """
    files = {path.stem: path for path in qrels_files(folder)}
    if split not in files:
        raise DatasetError(f"no qrels/{split}.tsv in {folder}; there are {', '.join(files)}")
    qrels: Qrels = {}
    for number, (query, document, label) in read_qrels_rows(files[split]):
        try:
            qrels.setdefault(query, {})[document] = int(label)
        except ValueError:
            raise DatasetError(
                f"{files[split]}, line {number}: the score {label!r} is no whole number"
            ) from None
    qrels = {query: labels for query, labels in qrels.items() if max(labels.values()) > 0}
    if not qrels:
        raise DatasetError(f"{files[split]}: no query has a right document (a score above 0)")
    texts = _texts(folder / "queries.jsonl")
    lacking = sorted(query for query in qrels if not texts.get(query, "").strip())
    if lacking:
        raise DatasetError(
            f"{folder / 'queries.jsonl'} has no text of {len(lacking)} queries that "
            f"{files[split].name} judges: {', '.join(map(repr, lacking[:5]))}"
        )
    return Judged({query: texts[query] for query in sorted(qrels)}, qrels)


def _texts(path: Path) -> dict[str, str]:
    texts = {}
    for number, row in read_jsonl(path):
        if "_id" not in row or "text" not in row:
            raise DatasetError(f"{path}, line {number}: a query has _id and text, got {row!r:.80}")
        texts[str(row["_id"])] = str(row["text"])
    return texts
