"""The bundled demo: reproducible, free of leaks, and out of reach of word matching."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import bm25s
import pytest
import Stemmer

from rabtriever_core.data.demo import write_demo
from rabtriever_core.data.demo.generate import SPLITS, documents, queries
from rabtriever_core.data.demo.worlds import POOLS, Part, World, load_worlds
from tests.core.data.content_words import content_words

WORLDS = load_worlds()
QUERIES_OF = {world.name: queries(world) for world in WORLDS}
QUERIES = [query for asked in QUERIES_OF.values() for query in asked]
DOCUMENTS = {
    entry["_id"]: f"{entry['title']} {entry['text']}"
    for world in WORLDS
    for entry in documents(world)
}
TEST_SPLITS = ("test", "test_unseen_combinations")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the demo written into it."""
    path = tmp_path_factory.mktemp("demo")
    write_demo(path)
    return path


def _bytes(folder: Path) -> dict[str, bytes]:
    """Return every file's content by relative path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _jsonl(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _judgements(folder: Path, split: str) -> list[tuple[str, ...]]:
    lines = (folder / "qrels" / f"{split}.tsv").read_text("utf-8").splitlines()
    assert lines[0] == "query-id\tcorpus-id\tscore"
    return [tuple(line.split("\t")) for line in lines[1:]]


def _voiced(world: World, *splits: str) -> Iterator[tuple[Part, str]]:
    """Yield each need and circumstance of the splits' queries with the sentence that voices it."""
    ids = [entry["_id"] for entry in documents(world)]
    cells = dict(zip(ids, world.cells(), strict=True))
    for query in QUERIES_OF[world.name]:
        if query.split in splits:
            need, circumstance = cells[query.document_id]
            yield need, query.need_sentence
            yield circumstance, query.circumstance_sentence


def test_two_writes_are_byte_identical(folder: Path, tmp_path: Path) -> None:
    """Writing twice gives the same files."""
    write_demo(tmp_path)
    assert _bytes(tmp_path) == _bytes(folder)


def test_hash_seed_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """String hashing, which differs from run to run, leaves no trace."""
    script = (
        "import pathlib, sys; from rabtriever_core.data.demo import write_demo; "
        "write_demo(pathlib.Path(sys.argv[1]))"
    )
    search_path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": search_path}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    assert _bytes(tmp_path) == _bytes(folder)


def test_files_agree_with_each_other(folder: Path) -> None:
    """Ids and texts are unique, judgements dangle nowhere, every query is judged once."""
    corpus, asked = _jsonl(folder / "corpus.jsonl"), _jsonl(folder / "queries.jsonl")
    assert 60 <= len(corpus) <= 150
    assert 1500 <= len(asked) <= 4000
    for rows in (corpus, asked):
        assert len({row["_id"] for row in rows}) == len(rows)
        assert len({row["text"] for row in rows}) == len(rows)
    judged = [row for split in SPLITS for row in _judgements(folder, split)]
    assert sorted(row[0] for row in judged) == sorted(row["_id"] for row in asked)
    assert {row[1] for row in judged} == {row["_id"] for row in corpus}
    assert {row[2] for row in judged} == {"1"}
    assert b"\r" not in b"".join(_bytes(folder).values())


def test_lengths() -> None:
    """Queries and document texts stay within a sentence or two."""
    texts = [entry["text"] for world in WORLDS for entry in documents(world)]
    assert {len(text.split()) for text in texts} <= set(range(12, 36))
    assert {len(query.text.split()) for query in QUERIES} <= set(range(10, 45))  # with an opener


def test_no_content_word_shared_with_right_document() -> None:
    """Nothing but function words links a query to the document it seeks."""
    words = {key: content_words(text) for key, text in DOCUMENTS.items()}
    shared = {
        (query.text, word)
        for query in QUERIES
        for word in content_words(query.text) & words[query.document_id]
    }
    assert not shared


def test_content_words_see_through_inflection() -> None:
    """Inflected forms and contractions compare as the word they come from."""
    assert content_words("Isn't she wiping tiles?") == content_words("Wiped the tile.")
    assert content_words("They can't, it's not what I'd do.") == set()


def test_every_sentence_has_one_pool() -> None:
    """No sentence is wording of two splits, and there is plenty of wording."""
    for world in WORLDS:
        for parts, least in ((world.needs, 50), (world.circumstances, 30)):
            for part in parts:
                sentences = [text for pool in POOLS for text in part.pools[pool]]
                assert len(set(sentences)) == len(sentences) >= least, part.key


def test_no_sentence_leaks_between_splits() -> None:
    """Train, dev and test queries are made of different sentences."""
    for world in WORLDS:
        train = {text for _, text in _voiced(world, "train")}
        dev = {text for _, text in _voiced(world, "dev")}
        test = {text for _, text in _voiced(world, *TEST_SPLITS)}
        assert not (train & dev or train & test or dev & test)


def test_unseen_combinations_are_unseen() -> None:
    """Their right documents have no query in train or dev, and a third of dev is new to train."""
    targets = {split: {q.document_id for q in QUERIES if q.split == split} for split in SPLITS}
    assert len(targets["test_unseen_combinations"]) == 18
    assert not targets["test_unseen_combinations"] & (targets["train"] | targets["dev"])
    assert targets["test"] == targets["train"]
    assert len(targets["dev"] - targets["train"]) == 8


def test_training_covers_every_need_and_circumstance() -> None:
    """Each need is trained in at least 4 circumstances, each circumstance with at least 5 needs."""
    for world in WORLDS:
        partners: defaultdict[str, set[str]] = defaultdict(set)
        trained = {query.document_id for query in QUERIES_OF[world.name] if query.split == "train"}
        cells = zip(documents(world), world.cells(), strict=True)
        for need, circumstance in (cell for entry, cell in cells if entry["_id"] in trained):
            partners[need.key].add(circumstance.key)
            partners[circumstance.key].add(need.key)
        assert min(len(partners[need.key]) for need in world.needs) >= 4
        assert min(len(partners[part.key]) for part in world.circumstances) >= 5


def test_unheard_wording_is_within_reach() -> None:
    """Most content words of a held-out sentence occur in training for the same need."""
    for world in WORLDS:
        vocabulary: defaultdict[str, set[str]] = defaultdict(set)
        for part, text in _voiced(world, "train"):
            vocabulary[part.key] |= content_words(text)
        for part, text in _voiced(world, "dev", *TEST_SPLITS):
            words = content_words(text)
            assert len(words & vocabulary[part.key]) >= 0.6 * len(words), text


@pytest.mark.parametrize("stemmer", [None, Stemmer.Stemmer("english")], ids=["words", "stems"])
@pytest.mark.parametrize("split", TEST_SPLITS)
def test_word_matching_fails(split: str, stemmer: Stemmer.Stemmer | None) -> None:
    """BM25 hardly ever ranks the right document first."""
    ids = list(DOCUMENTS)
    index = bm25s.BM25()
    tokens = bm25s.tokenize(list(DOCUMENTS.values()), stemmer=stemmer, show_progress=False)
    index.index(tokens, show_progress=False)
    asked = [query for query in QUERIES if query.split == split]
    texts = [query.text for query in asked]
    wanted = bm25s.tokenize(texts, stemmer=stemmer, show_progress=False)
    best, _ = index.retrieve(wanted, k=1, show_progress=False)
    hits = [ids[row[0]] == query.document_id for row, query in zip(best, asked, strict=True)]
    assert sum(hits) <= 0.1 * len(hits)
