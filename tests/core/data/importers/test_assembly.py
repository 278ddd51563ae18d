"""From any examples to a data set: nothing is lost unsaid, and no text is in two splits."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.dataset import Document, read_dataset, write_dataset
from rabtriever_core.data.importers.assembly import Imported, assemble
from rabtriever_core.data.importers.examples import Example, Source
from rabtriever_core.data.importers.splits import Shares
from rabtriever_core.errors import DatasetError
from tests.core.any_text import any_text

texts = st.text("aAáÁ ﬁ\u00ad", min_size=1, max_size=3)
judged = st.lists(st.tuples(texts.map(lambda t: Document("", t)), st.integers(0, 3)), max_size=3)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """Examples with or without ids, splits and groups, many of one text."""
    ids = draw(st.booleans())
    splits = draw(st.sampled_from(([""], ["train", "valid", "test", "hard"], ["", "train"])))
    groups = draw(st.sampled_from(([""], ["x", "y", "z"])))
    count = draw(st.integers(1, 25))
    return Source(
        "examples",
        examples=[
            Example(
                f"row {n}",
                draw(texts),
                tuple(draw(judged)),
                query_id=f"id{draw(st.integers(0, 20))}" if ids else "",
                split=draw(st.sampled_from(splits)),
                group=draw(st.sampled_from(groups)),
            )
            for n in range(count)
        ],
    )


def made(source: Source, by: str | None = None) -> Imported | None:
    try:
        return assemble(source, "any", Shares(0.6, 0.2, 0.2), by)
    except DatasetError as error:
        said = ("no query with a document", "too few for", "no training query is left")
        assert any(words in str(error) for words in said)
        return None


@given(sources(), st.sampled_from([None, "query", "document"]))
def test_no_text_is_in_two_splits_and_every_query_is_somewhere(
    source: Source, by: str | None
) -> None:
    found = made(source, by)
    if found is None:
        return
    dataset = found.dataset
    places = Counter(query for qrels in dataset.qrels.values() for query in qrels)
    assert dict(places) == dict.fromkeys(dataset.queries, 1)
    sides: dict[str, set[str]] = {}
    for split, qrels in dataset.qrels.items():
        for query in qrels:
            sides.setdefault(normalised(dataset.queries[query]), set()).add(split)
    assert all(len(names) == 1 for names in sides.values())
    kept = {normalised(text) for text in dataset.queries.values()}
    said = {one.place for one in found.left_out}
    for example in source.examples:
        assert normalised(example.query) in kept or example.place in said


@settings(max_examples=30)
@given(source=sources())
def test_what_is_made_can_be_written_and_read(source: Source, tmp_path_factory) -> None:
    found = made(source)
    if found is None:
        return
    folder: Path = tmp_path_factory.mktemp("written") / "any"
    write_dataset(found.dataset, folder)
    again = read_dataset(folder)
    assert again.fingerprint == found.dataset.fingerprint
    known = {document.id for document in again.documents}
    for qrels in again.qrels.values():
        assert all(labels.keys() <= known for labels in qrels.values())


@given(sources(), st.randoms())
def test_the_order_of_rows_moves_no_text(source: Source, random) -> None:
    if any(example.query_id for example in source.examples):
        return  # of two texts with one id, the first stays
    first = made(source)
    shuffled = random.sample(source.examples, len(source.examples))
    second = made(Source("examples", examples=shuffled))
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert where(first) == where(second)


def where(found: Imported) -> dict[str, str]:
    return {
        normalised(found.dataset.queries[query]): split
        for split, qrels in found.dataset.qrels.items()
        for query in qrels
    }


@settings(max_examples=30)
@given(pairs=st.lists(st.tuples(any_text, any_text), min_size=3, max_size=8))
def test_any_text_at_all(pairs: list[tuple[str, str]], tmp_path_factory) -> None:
    """Lone surrogates, line ends of all kinds, texts that nobody sees."""
    rows = [
        Example(f"row {n}", query, ((Document("", document), 1),))
        for n, (query, document) in enumerate(pairs)
    ]
    found = made(Source("examples", examples=rows))
    if found is not None:
        folder: Path = tmp_path_factory.mktemp("any") / "any"
        write_dataset(found.dataset, folder)
        assert read_dataset(folder).queries == found.dataset.queries


def test_ids_that_no_file_can_hold_are_left_out() -> None:
    rows = [Example(f"row {n}", f"q{n}", ((Document("d", "text"), 1),)) for n in range(4)]
    rows += [
        Example("row 5", "q5", ((Document("a\tb", "x"), 1),)),
        Example("row 6", "q6", ((Document("d", "other"), 1),)),
        Example("row 7", "q7", ((Document("d", "text"), 1),), query_id="a\nb"),
    ]
    found = assemble(Source("examples", examples=rows), "set")
    assert [(one.place, one.reason.partition(" holds")[0]) for one in found.left_out] == [
        ("row 5", "the document's id"),
        ("row 6", "another document has the same id"),
        ("row 7", "the query's id"),
    ]
    assert set(found.dataset.queries.values()) == {"q0", "q1", "q2", "q3"}


def test_splits_without_a_training_split_are_not_used() -> None:
    rows = [
        Example(f"row {n}", f"q{n}", ((Document("", "d"), 1),), split="test") for n in range(30)
    ]
    found = assemble(Source("examples", examples=rows), "set")
    assert set(found.dataset.qrels) == {"train", "dev", "test"}
    assert "splits of the source (test) are not used: none is train" in found.notes


def test_training_queries_that_are_all_measured_elsewhere_are_an_error() -> None:
    rows = [
        Example(f"row {n}", f"q{n % 3}", ((Document("", "d"), 1),), split=split)
        for n, split in enumerate(["train"] * 3 + ["dev"] * 3)
    ]
    with pytest.raises(DatasetError, match=r"no training query is left.*--split-by query"):
        assemble(Source("examples", examples=rows), "set")


def test_nothing_left_is_an_error_with_the_reasons() -> None:
    with pytest.raises(DatasetError, match="no query with a document is left"):
        assemble(Source("nothing"), "set")
