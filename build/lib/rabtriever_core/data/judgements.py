"""Queries and judgements of a BEIR folder, whoever made it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rabtriever_core.data.dataset import Qrels, qrels_files, read_jsonl, read_qrels_rows
from rabtriever_core.data.layouts import QUERY_ID, QUERY_TEXT, Noted, id_text, label_text, stated
from rabtriever_core.data.raw import excluded_ids
from rabtriever_core.errors import DatasetError


@dataclass(frozen=True)
class Judged:
    """The queries of one split that have a right document."""

    queries: dict[str, str]
    """Query id → text, in order of the ids."""
    qrels: Qrels
    excluded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Query id → documents that its ranking leaves out, as queries.jsonl says."""

    def right(self, query: str) -> set[str]:
        """Ids of a query's right documents."""
        return {document for document, label in self.qrels[query].items() if label > 0}

    def left_out(self, query: str) -> frozenset[str]:
        """Documents that a query's ranking leaves out, be they anywhere; as `Dataset.left_out`."""
        return frozenset({query, *self.excluded.get(query, ())} - self.right(query))

    def only(self, queries: list[str]) -> "Judged":
        """Some of the queries."""
        return Judged(
            {query: self.queries[query] for query in queries},
            {query: self.qrels[query] for query in queries},
            {query: self.excluded[query] for query in queries if query in self.excluded},
        )


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
    noted: Noted = Counter()
    for number, (query, document, label) in read_qrels_rows(files[split], noted):
        try:
            qrels.setdefault(query, {})[document] = int(label_text(label, noted))
        except ValueError:
            raise DatasetError(
                f"{files[split]}, line {number}: the score {label!r} is no whole number"
            ) from None
    qrels = {query: labels for query, labels in qrels.items() if max(labels.values()) > 0}
    if not qrels:
        raise DatasetError(f"{files[split]}: no query has a right document (a score above 0)")
    texts, excluded = _asked(folder / "queries.jsonl", noted)
    lacking = sorted(query for query in qrels if not texts.get(query, "").strip())
    if lacking:
        raise DatasetError(
            f"{folder / 'queries.jsonl'} has no text of {len(lacking)} queries that "
            f"{files[split].name} judges: {', '.join(map(repr, lacking[:5]))}"
        )
    return Judged(texts, qrels, excluded).only(sorted(qrels))


def _asked(path: Path, noted: Noted) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Query id → text, and query id → excluded documents where there are any."""
    texts, excluded = {}, {}
    for number, row in read_jsonl(path):
        id_, text = id_text(stated(row, QUERY_ID, noted), noted), stated(row, QUERY_TEXT, noted)
        ids = excluded_ids(row, noted)
        if not id_ or not isinstance(text, str):
            raise DatasetError(f"{path}, line {number}: a query has _id and text, got {row!r:.80}")
        if ids is None:
            raise DatasetError(
                f"{path}, line {number}: excluded_ids is no list of document ids, got {row!r:.80}"
            )
        texts[id_] = text
        if ids:
            excluded[id_] = ids
    return texts, excluded
