"""From examples to a data set: one id for one text, and a split for every query."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.dataset import Dataset, Document, Qrels
from rabtriever_core.data.ids import id_problem
from rabtriever_core.data.importers.examples import Example, LeftOut, Query, Source
from rabtriever_core.data.importers.placement import places_of, rank, with_splits, without_leaks
from rabtriever_core.data.importers.splits import Shares
from rabtriever_core.errors import DatasetError


@dataclass(frozen=True)
class Imported:
    """A data set, and what there is to say of how it came about."""

    dataset: Dataset
    answers: dict[str, tuple[str, ...]]
    """Query id → accepted answers, where the source has some."""
    layout: str
    left_out: list[LeftOut]
    notes: list[str]


def assemble(
    source: Source, name: str, shares: Shares | None = None, by: str | None = None
) -> Imported:
    """Make a data set of what was read.

    Splits that the source names are kept, and made where they are missing: all of them without a
    training split, dev or test out of the training split otherwise.

    Args:
        source: documents and examples.
        name: of the data set.
        shares: of the splits that are made.
        by: what they are made by, `query` or `document`, or nothing in particular when None. It is
            the time where the examples have one.

    Raises:
        DatasetError: nothing is left, or it is too little to be split.
    """
    left_out, notes = [*source.left_out], [*source.notes]
    documents = _Documents(source, left_out)
    examples, said = with_splits(source.examples, by, left_out, notes)
    queries = _queries(examples, documents, left_out)
    if not queries:
        raise DatasetError(f"no query with a document is left of it{_commonest(left_out)}")
    notes += documents.notes()
    places = places_of(queries, said, shares or Shares(), by, notes)
    kept = without_leaks(queries, places, left_out)
    qrels: dict[str, Qrels] = {
        each: {id_: queries[id_].labels for id_ in kept if places[id_] == each}
        for each in sorted(set(places.values()), key=rank)
    }
    answers = {
        id_: tuple(dict.fromkeys(a for example in queries[id_].examples for a in example.answers))
        for id_ in kept
    }
    dataset = Dataset(
        name,
        tuple(documents.by_id.values()),
        {id_: queries[id_].text for id_ in kept},
        {each: judged for each, judged in qrels.items() if judged},
    )
    return Imported(
        dataset,
        {id_: held for id_, held in answers.items() if held},
        source.layout,
        left_out,
        notes,
    )


class _Documents:
    """Documents by id; those without one get the same for the same text."""

    def __init__(self, source: Source, left_out: list[LeftOut]) -> None:
        self.by_id: dict[str, Document] = {}
        self._left_out = left_out
        self._differing: set[str] = set()
        self._given = 0
        self._different: set[str] = set()
        for place, document in source.documents:
            if document.id in self.by_id and self.by_id[document.id] != document:
                left_out.append(LeftOut(place, "another document has the same id"))
            elif problem := id_problem(document.id):
                left_out.append(LeftOut(place, f"the document's id {problem}"))
            else:
                self.by_id[document.id] = document
        judged = [document for example in source.examples for document, _ in example.judged]
        self._by_text: dict[str, str] = {}
        # Only where a document can be one of them: this takes a while for millions.
        if any(isinstance(document, Document) and not document.id for document in judged):
            for id_, document in self.by_id.items():
                self._by_text.setdefault(normalised(document.full_text), id_)

    def id_of(self, document: Document | str, place: str) -> str | None:
        """Its id; None where it cannot have one, which is noted."""
        if isinstance(document, str):
            return document if document in self.by_id else None
        text = normalised(document.full_text)
        if document.id:
            if problem := id_problem(document.id):
                self._left_out.append(LeftOut(place, f"the document's id {problem}"))
                return None
            id_ = document.id
        else:
            id_ = self._by_text.setdefault(text, _content_id("d", text))
            self._given += 1
            self._different.add(id_)
        held = self.by_id.setdefault(id_, replace(document, id=id_))
        if normalised(held.full_text) != text:
            self._left_out.append(LeftOut(place, "another document has the same id"))
            return None
        if held.metadata != document.metadata:
            self._differing.add(id_)
        return id_

    def notes(self) -> list[str]:
        """What was found of documents that are there several times."""
        found = []
        if self._given > len(self._different):
            found.append(
                f"the rows hold {self._given:,} documents, {len(self._different):,} different ones"
            )
        if self._differing:
            found.append(
                f"the metadata of {len(self._differing):,} documents differ from row to row: the "
                "first row's stay"
            )
        return found


def _queries(
    examples: Iterable[Example], documents: _Documents, left_out: list[LeftOut]
) -> dict[str, Query]:
    """Query id → what all its examples say."""
    found: dict[str, Query] = {}
    for example in examples:
        text = normalised(example.query)
        id_ = example.query_id or _content_id("q", text)
        problem = id_problem(id_)
        if not text or problem:
            reason = f"the query's id {problem}" if problem else "the query has no text to see"
            left_out.append(LeftOut(example.place, reason))
            continue
        query = found.get(id_) or Query(example.query.strip(), example.place)
        if normalised(query.text) != text:
            left_out.append(LeftOut(example.place, "another query has the same id"))
            continue
        judged = [(documents.id_of(d, example.place), label) for d, label in example.judged]
        if not judged:
            left_out.append(LeftOut(example.place, "no document is judged"))
        for document, label in judged:
            if document is None:
                continue
            before = query.labels.setdefault(document, label)
            if before != label:
                left_out.append(
                    LeftOut(example.place, "judged differently elsewhere: the higher label stays")
                )
                query.labels[document] = max(before, label)
        if any(document is not None for document, _ in judged):
            query.examples.append(example)
            query.split = example.split
            found[id_] = query
    return found


def _content_id(kind: str, text: str) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{kind}-{digest[:16]}"


def reasons(left_out: Collection[LeftOut]) -> dict[str, list[str]]:
    """Why something is left out → the places, the commonest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in left_out:
        found[one.reason].append(one.place)
    return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))


def _commonest(left_out: Collection[LeftOut]) -> str:
    lines = [f"; {len(places):,} rows: {why}" for why, places in reasons(left_out).items()]
    return "".join(lines[:3])
