"""Which split a query is in: the source's or one made here, and no text in two of them."""

from collections.abc import Sequence
from dataclasses import replace

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.importers.examples import Example, LeftOut, Query
from rabtriever_core.data.importers.splits import (
    DEV,
    TEST,
    TRAIN,
    Asked,
    Shares,
    split,
    split_name,
)
from rabtriever_core.errors import DatasetError


def with_splits(
    examples: Sequence[Example], by: str | None, left_out: list[LeftOut], notes: list[str]
) -> tuple[list[Example], set[str]]:
    """Examples with our names of the splits that the source names, and those names.

    A text that is asked in several is judged in one of them only, as it is judged there. There are
    no names where splits are to be made.
    """
    said = {split_name(example.split) for example in examples if example.split}
    unsaid = any(not example.split for example in examples)
    if by is not None or TRAIN not in said or unsaid:
        if said:
            why = "--split-by" if by else "some queries have none" if unsaid else "none is train"
            notes.append(f"splits of the source ({', '.join(sorted(said))}) are not used: {why}")
        return [replace(example, split="") for example in examples], set()
    notes.append(f"splits of the source: {', '.join(sorted(said, key=rank))}")
    named = [replace(example, split=split_name(example.split)) for example in examples]
    elsewhere = _elsewhere([(normalised(example.query), example.split) for example in named])
    kept = []
    for example, better in zip(named, elsewhere, strict=True):
        if better:
            left_out.append(LeftOut(example.place, _leak(better, example.split)))
        else:
            kept.append(example)
    return kept, said


def places_of(
    queries: dict[str, Query], said: set[str], shares: Shares, by: str | None, notes: list[str]
) -> dict[str, str]:
    """Query id → split: the source's, or made here."""
    if not said:
        return _made(queries, shares, by, notes)
    places = {id_: query.split for id_, query in queries.items()}
    if TRAIN not in places.values():
        raise DatasetError(
            "no training query is left: each is asked in another split, too, or has no document. "
            "--split-by query makes other splits"
        )
    missing = [name for name in (DEV, TEST) if name not in said and getattr(shares, name) > 0]
    if missing:
        train = {id_: query for id_, query in queries.items() if query.split == TRAIN}
        wanted = {name: getattr(shares, name) if name in missing else 0.0 for name in (DEV, TEST)}
        notes.append(f"made of the training split: {', '.join(missing)}")
        places |= _made(train, Shares(1 - sum(wanted.values()), **wanted), by, notes)
    return places


def without_leaks(
    queries: dict[str, Query], places: dict[str, str], left_out: list[LeftOut]
) -> list[str]:
    """Ids of the queries whose text is in no split that comes before theirs."""
    elsewhere = _elsewhere(
        [(normalised(query.text), places[id_]) for id_, query in queries.items()]
    )
    kept = []
    for (id_, query), better in zip(queries.items(), elsewhere, strict=True):
        if better:
            left_out.append(LeftOut(query.place, _leak(better, places[id_])))
        else:
            kept.append(id_)
    return kept


def rank(name: str) -> tuple[int, str]:
    """Order of splits: training, dev, others by name, test."""
    return {TRAIN: 0, DEV: 1, TEST: 3}.get(name, 2), name


def _made(
    queries: dict[str, Query], shares: Shares, by: str | None, notes: list[str]
) -> dict[str, str]:
    asked = []
    for query in queries.values():
        times = [example.time for example in query.examples if example.time is not None]
        right = frozenset(document for document, label in query.labels.items() if label > 0)
        group = min(example.group for example in query.examples)
        asked.append(Asked(normalised(query.text), right, group, max(times, default=None)))
    by_time = all(one.time is not None for one in asked)
    way = "time" if by_time else by or "query"
    said = {
        "time": "by time: the latest are the test split",
        "document": "by document: queries that share a right one stay together",
        "query": "by query" if not asked[0].group else "by group: what belongs together stays so",
    }
    notes.append(f"splits made {said[way]}")
    return dict(zip(queries, split(asked, shares, way), strict=True))


def _elsewhere(placed: Sequence[tuple[str, str]]) -> list[str]:
    """For each text and split the split that has the text rather; empty where it is this one."""
    best: dict[str, str] = {}
    for text, name in placed:
        best[text] = max(best.get(text, name), name, key=rank)
    return ["" if best[text] == name else best[text] for text, name in placed]


def _leak(better: str, name: str) -> str:
    return f"a query with the same text is in {better}: out of {name}"
