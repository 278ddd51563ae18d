"""Datasets in BEIR layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rabtriever_core.data.ids import id_problem
from rabtriever_core.data.layouts import Noted, is_header, qrels_columns
from rabtriever_core.data.metadata import Metadata, canonical, metadata_problem, stated_metadata
from rabtriever_core.errors import DatasetError
from rabtriever_core.workspace.atomic import write_json_lines, write_text

Qrels = dict[str, dict[str, int]]
"""Query id → document id → relevance (above 0 is relevant)."""


@dataclass(frozen=True)
class Document:
    """One entry of the corpus."""

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict, hash=False)
    """For filters and display; see `rabtriever_core.data.metadata`."""

    @property
    def full_text(self) -> str:
        """Title and text as the models read them."""
        if self.title and self.text and self.title != self.text:
            return f"{self.title}: {self.text}"
        return self.text or self.title


@dataclass(frozen=True)
class Dataset:
    """Documents, queries and relevance judgements."""

    name: str
    documents: tuple[Document, ...]
    queries: dict[str, str]
    """Query id → text."""
    qrels: dict[str, Qrels] = field(default_factory=dict)
    """Split → judgements."""
    excluded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Query id → documents that its rankings leave out, as queries.jsonl says (`excluded_ids`)."""
    language: str = "auto"
    """Of its texts, as `dataset.language` says it; no part of the content."""

    @property
    def fingerprint(self) -> str:
        """Hash of the content: the same rows in any order give the same fingerprint."""
        digest = hashlib.sha256()
        for rows in (
            sorted(["d", d.id, d.title, d.text, *_said(d)] for d in self.documents),
            sorted(
                ["q", id_, text, *sorted(self.excluded.get(id_, ()))]
                for id_, text in self.queries.items()
            ),
            sorted(
                ["j", split, query, document, str(label)]
                for split, qrels in self.qrels.items()
                for query, labels in qrels.items()
                for document, label in labels.items()
            ),
        ):
            for row in rows:
                digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()

    def split_queries(self, split: str) -> list[str]:
        """Ids of the queries with at least one relevant document in a split, sorted.

        Raises:
            DatasetError: there is no such split.
        """
        if split not in self.qrels:
            raise DatasetError(
                f"data set {self.name!r} has no split {split!r}; it has {', '.join(self.qrels)}"
            )
        return sorted(q for q, labels in self.qrels[split].items() if max(labels.values()) > 0)

    def relevant(self, split: str, query: str) -> set[str]:
        """Ids of the relevant documents of a query."""
        return {d for d, label in self.qrels[split].get(query, {}).items() if label > 0}

    @cached_property
    def left_out(self) -> dict[str, frozenset[str]]:
        """Query id → documents that its rankings leave out; queries that have none are not named.

        These are the excluded ones, and as in BEIR the document with the query's own id: where
        queries are documents, too, each would find itself. One that some split judges right stays.
        """
        documents = {document.id for document in self.documents}
        found = {}
        for query in self.queries:
            ids = {query, *self.excluded.get(query, ())} & documents
            for split in self.qrels if ids else ():
                ids -= self.relevant(split, query)
            if ids:
                found[query] = frozenset(ids)
        return found


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file; blank lines are skipped.

    Raises:
        DatasetError: the file is missing, or a line is not a JSON object; names file and line.
    """
    if not path.is_file():
        raise DatasetError(
            f"no file {path}: a BEIR folder holds corpus.jsonl, queries.jsonl, qrels/"
        )
    # A byte order mark, which some editors write, is no part of the first row.
    with path.open(encoding="utf-8-sig", errors="strict") as file:
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise DatasetError(
                        f"{path}, line {number}: not valid JSON ({error.msg} at column "
                        f"{error.colno}): {line.strip()[:80]!r}"
                    ) from None
                except (ValueError, RecursionError) as error:
                    raise DatasetError(f"{path}, line {number}: cannot be read ({error})") from None
                if not isinstance(row, dict):
                    raise DatasetError(
                        f"{path}, line {number}: expected an object, got {row!r:.80}"
                    )
                yield number, row
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}, after line {number}: not UTF-8 ({error.reason})") from None


def read_qrels_rows(path: Path, noted: Noted | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, [query id, document id, label]) of a qrels file, header skipped.

    Args:
        path: the file.
        noted: counts what is read otherwise than BEIR writes it (see `data.layouts`).

    Raises:
        DatasetError: a line does not have three tab-separated columns; names file and line.
    """
    noted = Counter() if noted is None else noted
    with path.open(encoding="utf-8-sig") as file:
        number, first = 0, True
        try:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = qrels_columns(line.rstrip("\n"), noted)
                if first:
                    first = False
                    if is_header(row):
                        continue
                    noted["there is no header line"] += 1
                if len(row) != 3:
                    raise DatasetError(
                        f"{path}, line {number}: expected query-id, corpus-id and score separated "
                        f"by tabs, got {row!r:.80}"
                    )
                yield number, row
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}, line {number + 1}: cannot be read ({error})") from None


def qrels_files(folder: Path) -> list[Path]:
    """The qrels files of a BEIR folder, sorted; hidden ones, as macOS leaves them, are none.

    Raises:
        DatasetError: the folder does not exist, or has no qrels.
    """
    if not folder.is_dir():
        raise DatasetError(f"no such folder: {folder}")
    files = sorted((folder / "qrels").glob("[!.]*.tsv"))
    if not files:
        raise DatasetError(f"no qrels in {folder / 'qrels'}: expected train.tsv, dev.tsv, test.tsv")
    return files


def read_dataset(folder: Path, name: str | None = None, language: str = "auto") -> Dataset:
    """Read a clean BEIR folder (validate foreign data first: `validate_dataset`).

    Args:
        folder: of the data set.
        name: of the data set; the folder's when not given.
        language: of its texts (`dataset.language`).

    Raises:
        DatasetError: anything is missing or malformed.
    """
    files = qrels_files(folder)
    corpus = folder / "corpus.jsonl"
    documents = tuple(_document(row, f"{corpus}, line {n}") for n, row in read_jsonl(corpus))
    queries: dict[str, str] = {}
    excluded: dict[str, tuple[str, ...]] = {}
    for _, row in read_jsonl(folder / "queries.jsonl"):
        queries[str(row["_id"])] = str(row["text"])
        if row.get("excluded_ids"):
            excluded[str(row["_id"])] = tuple(map(str, row["excluded_ids"]))
    qrels: dict[str, Qrels] = {}
    for path in files:
        split = qrels.setdefault(path.stem, {})
        for _, (query, document, label) in read_qrels_rows(path):
            split.setdefault(query, {})[document] = int(label)
    return Dataset(name or folder.name, documents, queries, qrels, excluded, language)


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write a data set in BEIR layout; the same content gives the same bytes.

    Raises:
        DatasetError: qrels cannot hold an id; nothing is written.
    """
    check_ids([document.id for document in dataset.documents], "document")
    check_ids(list(dataset.queries), "query")
    write_json_lines(folder / "corpus.jsonl", (_row(d) for d in dataset.documents))
    write_json_lines(
        folder / "queries.jsonl",
        (
            {"_id": id_, "text": text}
            | ({"excluded_ids": list(dataset.excluded[id_])} if id_ in dataset.excluded else {})
            for id_, text in dataset.queries.items()
        ),
    )
    for split, qrels in dataset.qrels.items():
        lines = ["query-id\tcorpus-id\tscore"] + [
            f"{query}\t{document}\t{label}"
            for query, labels in qrels.items()
            for document, label in labels.items()
        ]
        write_text(folder / "qrels" / f"{split}.tsv", "\n".join(lines) + "\n")


def check_ids(ids: Sequence[str], kind: str) -> None:
    """Refuse ids that a line with tabs between its columns cannot hold.

    Raises:
        DatasetError: one is such; names it.
    """
    for id_ in ids:
        if problem := id_problem(id_):
            raise DatasetError(f"the {kind} id {id_!r} {problem}: give it another id")


def _said(document: Document) -> list[str]:
    """The metadata as part of a hashed row; nothing where there is none."""
    return [canonical(document.metadata)] if document.metadata else []


def _document(row: dict[str, Any], place: str) -> Document:
    metadata = stated_metadata(row)
    if problem := metadata_problem(metadata):
        raise DatasetError(f"{place}: metadata: {problem}")
    return Document(
        id=str(row["_id"]),
        title=str(row.get("title") or ""),
        text=str(row["text"]),
        metadata=metadata,
    )


def _row(document: Document) -> dict[str, Any]:
    row: dict[str, Any] = {"_id": document.id, "title": document.title, "text": document.text}
    return row | {"metadata": dict(document.metadata)} if document.metadata else row
