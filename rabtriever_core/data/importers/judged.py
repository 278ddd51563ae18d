"""A corpus, queries and judgements apart, as mteb and MS MARCO have them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rabtriever_core.data.dataset import Document, read_qrels_rows
from rabtriever_core.data.importers.cells import document_of, label_of, text_of
from rabtriever_core.data.importers.delimited import decoded
from rabtriever_core.data.importers.examples import Example, LeftOut, Source
from rabtriever_core.data.importers.tables import Table
from rabtriever_core.data.layouts import (
    QUERY_ID,
    QUERY_TEXT,
    Noted,
    id_text,
    label_text,
    stated,
)
from rabtriever_core.errors import DatasetError

Judgement = tuple[str, str, str, str, int | None]
"""Place, split, query id, document id, label."""


def read_judged_tables(
    corpus: Sequence[Table], queries: Sequence[Table], qrels: Sequence[Table]
) -> Source:
    """Examples from mteb's three tables, each of which may come in splits."""
    source = Source("a corpus, queries and judgements (mteb)")
    noted: Noted = Counter()
    for place, row in _rows(corpus):
        document = document_of(row)
        if document is None or not document.id:
            source.left_out.append(LeftOut(place, "a document has an id and a text"))
        else:
            source.documents.append((place, document))
    texts: dict[str, str] = {}
    for place, row in _rows(queries):
        id_ = id_text(stated(row, QUERY_ID, noted), noted)
        text = text_of(stated(row, QUERY_TEXT, noted))
        if id_ and text:
            texts[id_] = text
        else:
            source.left_out.append(LeftOut(place, "a query has an id and a text"))
    judgements = (
        (
            place,
            table.split,
            text_of(row.get("query-id")),
            text_of(row.get("corpus-id")),
            label_of(row.get("score", 1)),
        )
        for table in qrels
        for place, row in table.rows
    )
    _join(source, texts, judgements)
    return source


def read_msmarco(folder: Path) -> Source:
    """Examples from collection.tsv, queries.*.tsv and qrels.*.tsv.

    Where there is a small version of a split (`qrels.dev.small.tsv`), it stands for the split.

    Raises:
        DatasetError: a file is missing, or a line has not the columns that it should have.
    """
    source = Source("MS MARCO: collection, queries and judgements")
    collection = folder / "collection.tsv"
    for place, (id_, text) in _pairs(collection, source):
        source.documents.append((place, Document(id_, text)))
    files = {name: sorted(folder.glob(f"{name}*.tsv")) for name in ("queries", "qrels")}
    for name, found in files.items():
        if not found:
            raise DatasetError(f"no {name}.tsv and no {name}.train.tsv in {folder}")
    texts = {id_: text for path in files["queries"] for _, (id_, text) in _pairs(path, source)}
    _join(source, texts, _judgements(files["qrels"], source))
    return source


def _judgements(files: Sequence[Path], source: Source) -> Iterator[Judgement]:
    splits = {path.stem.removeprefix("qrels").strip("."): path for path in files}
    for split, path in splits.items():
        if f"{split}.small" in splits:
            source.notes.append(f"{path.name} is not used: there is a small version of it")
            continue
        noted: Noted = Counter()
        for line, (query, document, label) in read_qrels_rows(path, noted):
            said = label_of(label_text(label, noted))
            place = f"{path.name}, line {line}"
            yield place, split.removesuffix(".small"), query.strip(), document.strip(), said


def _pairs(path: Path, source: Source) -> Iterator[tuple[str, tuple[str, str]]]:
    """Lines of an id and a text, parted by a tab; quotation marks are part of the text."""
    text, said = decoded(path)
    source.notes += [f"{path.name}: {said}"] if said else []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path.name}, line {number}"
        id_, tab, rest = line.rstrip("\r").partition("\t")
        if not tab or not id_.strip() or not rest.strip():
            source.left_out.append(LeftOut(place, "a line is an id, a tab and a text"))
        else:
            yield place, (id_.strip(), rest.strip())


def _join(source: Source, texts: dict[str, str], judgements: Iterable[Judgement]) -> None:
    """Examples of the queries that are judged; one for each query and split."""
    ids = {document.id for _, document in source.documents}
    judged: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    places: dict[tuple[str, str], str] = {}
    for place, split, query, document, label in judgements:
        reason = (
            f"there is no query of the id {query!r}" * (query not in texts)
            or f"there is no document of the id {document!r}" * (document not in ids)
            or "the score is no whole number" * (label is None)
        )
        if reason or label is None:
            source.left_out.append(LeftOut(place, reason))
            continue
        places.setdefault((query, split), place)
        judged[query, split].append((document, label))
    source.examples = [
        Example(places[query, split], texts[query], tuple(pairs), query, split)
        for (query, split), pairs in judged.items()
    ]
    if spare := len(texts) - len({query for query, _ in judged}):
        source.notes.append(f"{spare:,} queries have no judgement and are not used")


def _rows(tables: Sequence[Table]) -> Iterator[tuple[str, dict[str, object]]]:
    return (row for table in tables for row in table.rows)
