"""Write the demo as a BEIR-layout dataset, byte for byte the same on every machine."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rabtriever_core.data.demo.worlds import Part, World, load_worlds, pool_of
from rabtriever_core.workspace.atomic import write_text

SPLITS = ("train", "dev", "test", "test_unseen_combinations")

# Queries per (need, circumstance) pair, by split and by the pool the pair belongs to.
_QUERIES_PER_CELL = {
    ("train", "train"): 27,
    ("dev", "train"): 2,
    ("dev", "dev"): 9,
    ("test", "train"): 5,
    ("test_unseen_combinations", "test"): 18,
}
_ID_INFIX = {"test_unseen_combinations": "unseen"}
_QUERY_WORDS = range(10, 41)
_OPENER_RATE = 0.15
# Openers go before these words alone, since only they read well (and safely) in lower case.
_OPENABLE = frozenset({"I", "I'm", "I've", "I'd", "My", "The", "There's", "There", "It's", "It"})

_README = """\
# Rabtriever demo data

Written by `rabtriever demo`; the same bytes every time. Licence: Apache-2.0.

A small retrieval task in which the right document does not look like its query. Two worlds share
one corpus: confessions and the emotional support strategies that suit them (`support-*`), and
remarks to a household robot and the skills it should perform (`robot-*`). In each world a need
decides what is right and a circumstance decides how it is carried out; a query voices one of each
and shares no content word with its one right document.

| part | size |
|---|---|
{sizes}

- `test`: pairs of need and circumstance known from training, in wording that training never has.
- `test_unseen_combinations`: pairs found in neither `train` nor `dev`, in the wording of `test`.
- `dev`: wording of its own; a third of it asks for pairs that only `dev` has.

The text is authored for this demo and voices nobody's real words.
"""


@dataclass(frozen=True)
class Query:
    """A query, the split it belongs to, the sentences it is made of and its right document."""

    id: str
    split: str
    text: str
    need_sentence: str
    circumstance_sentence: str
    document_id: str


def documents(world: World) -> list[dict[str, str]]:
    """Return the world's documents, one for each need and circumstance."""
    entries = []
    for index, (need, circumstance) in enumerate(world.cells()):
        row, column = divmod(index, len(world.circumstances))
        texts = (need.texts[column % len(need.texts)], circumstance.texts[row % 2])
        entries.append(
            {
                "_id": _document_id(world, index),
                "title": f"{need.title}, {circumstance.title}",
                "text": " ".join(texts),
            }
        )
    return entries


def queries(world: World) -> list[Query]:
    """Return the world's queries of all splits."""
    return [query for split in SPLITS for query in _split_queries(world, split)]


def write_demo(folder: Path) -> None:
    """Write corpus, queries, judgements and README of the demo into the folder."""
    worlds = load_worlds()
    corpus = [entry for world in worlds for entry in documents(world)]
    asked = [query for world in worlds for query in queries(world)]
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "corpus.jsonl", map(_json, corpus))
    _write_lines(
        folder / "queries.jsonl", (_json({"_id": query.id, "text": query.text}) for query in asked)
    )
    sizes = {"documents": len(corpus)}
    for split in SPLITS:
        judged = [query for query in asked if query.split == split]
        sizes[f"`{split}` queries"] = len(judged)
        rows = (f"{query.id}\t{query.document_id}\t1" for query in judged)
        _write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])
    table = "\n".join(f"| {name} | {size} |" for name, size in sizes.items())
    _write_lines(folder / "README.md", _README.format(sizes=table).splitlines())


def _split_queries(world: World, split: str) -> Iterator[Query]:
    """Yield the split's queries, numbered in document order."""
    wording = "test" if split.startswith("test") else split
    number = itertools.count(1)
    for index, (need, circumstance) in enumerate(world.cells()):
        size = _QUERIES_PER_CELL.get((split, pool_of(need, circumstance)), 0)
        seed = f"{world.name} {split} {need.key} {circumstance.key}"
        rng = random.Random(seed)  # noqa: S311 - chooses wording, guards no secret
        for sentences in _sample_pairs(need, circumstance, wording, size, rng):
            yield Query(
                id=f"{world.name}-{_ID_INFIX.get(split, split)}-{next(number):04}",
                split=split,
                text=_compose(*sentences, world.openers, rng),
                need_sentence=sentences[0],
                circumstance_sentence=sentences[1],
                document_id=_document_id(world, index),
            )


def _sample_pairs(
    need: Part, circumstance: Part, wording: str, size: int, rng: random.Random
) -> list[tuple[str, str]]:
    """Draw distinct pairs of a need sentence and a circumstance sentence."""
    pairs = itertools.product(need.pools[wording], circumstance.pools[wording])
    fitting = [pair for pair in pairs if len(" ".join(pair).split()) in _QUERY_WORDS]
    return rng.sample(fitting, size)


def _compose(need: str, circumstance: str, openers: tuple[str, ...], rng: random.Random) -> str:
    """Say both sentences in either order, now and then after an opener."""
    first, second = (need, circumstance) if rng.random() < 0.5 else (circumstance, need)
    head, _, rest = first.partition(" ")
    if head in _OPENABLE and rng.random() < _OPENER_RATE:
        keeps_capital = head in ("I", "I'm", "I've", "I'd")
        first = f"{rng.choice(openers)}{head if keeps_capital else head.lower()} {rest}"
    return f"{first} {second}"


def _document_id(world: World, index: int) -> str:
    return f"{world.name}-{index + 1:03}"


def _json(entry: dict[str, str]) -> str:
    return json.dumps(entry, ensure_ascii=False)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))
