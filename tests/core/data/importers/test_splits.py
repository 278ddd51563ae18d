"""Splits: what belongs together stays together, and is where it was at the next import."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabtriever_core.data.importers.splits import Asked, Shares, split, split_name
from rabtriever_core.errors import DatasetError

words = st.text("abc", min_size=1, max_size=4)
asked = st.builds(
    Asked, text=words, right=st.frozensets(st.sampled_from("stuvwxyz"), min_size=1, max_size=2)
)
many = st.lists(asked, min_size=3, max_size=40).filter(lambda qs: len({q.text for q in qs}) >= 3)


@given(many)
def test_every_query_has_a_split_and_no_text_has_two(queries: list[Asked]) -> None:
    found = split(queries, Shares())
    assert set(found) == {"train", "dev", "test"}
    assert len({(q.text, name) for q, name in zip(queries, found, strict=True)}) == len(
        {q.text for q in queries}
    )


@given(many, st.randoms())
def test_the_order_of_rows_changes_nothing(queries: list[Asked], random) -> None:
    shuffled = random.sample(queries, len(queries))
    assert dict(zip(queries, split(queries, Shares()), strict=True)) == dict(
        zip(shuffled, split(shuffled, Shares()), strict=True)
    )


def test_queries_that_come_later_move_none() -> None:
    early = [Asked(f"question {n}") for n in range(400)]
    later = early + [Asked(f"another {n}") for n in range(400)]
    assert split(later, Shares())[:400] == split(early, Shares())


def test_shares_are_kept_about() -> None:
    counts = Counter(split([Asked(f"q {n}") for n in range(4000)], Shares(0.7, 0.1, 0.2)))
    assert 2700 < counts["train"] < 2900
    assert 340 < counts["dev"] < 460
    assert 720 < counts["test"] < 880


@given(st.lists(asked, min_size=1, max_size=40))
def test_by_document_no_right_document_is_on_two_sides(queries: list[Asked]) -> None:
    try:
        found = split(queries, Shares(), "document")
    except DatasetError as error:
        assert "stay together" in str(error)
        return
    sides: dict[str, set[str]] = {}
    for query, name in zip(queries, found, strict=True):
        for tie in (f"text {query.text}", *query.right):
            sides.setdefault(tie, set()).add(name)
    assert all(len(names) == 1 for names in sides.values())


def test_groups_stay_together() -> None:
    queries = [Asked(f"q {n}", group=f"customer {n % 30}") for n in range(300)]
    found = split(queries, Shares())
    assert all(len(set(found[n::30])) == 1 for n in range(30))


@given(st.lists(st.integers(0, 50), min_size=3, max_size=60).filter(lambda ts: len(set(ts)) >= 3))
def test_by_time_the_latest_are_the_test_split(times: list[int]) -> None:
    queries = [Asked(f"q {n}", time=float(time)) for n, time in enumerate(times)]
    sides: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for time, name in zip(times, split(queries, Shares(), "time"), strict=True):
        sides[name].append(time)
    assert max(sides["train"]) < min(sides["dev"]) <= max(sides["dev"]) < min(sides["test"])


def test_a_text_asked_at_two_times_is_where_its_latest_is() -> None:
    queries = [Asked(f"q {n % 9}", time=float(n)) for n in range(10)]
    found = split(queries, Shares(0.6, 0.2, 0.2), "time")
    assert found[0] == found[9] == "test"


def test_too_few_to_split_is_said() -> None:
    with pytest.raises(DatasetError, match="3 queries fall into 2 groups"):
        split([Asked("a"), Asked("b"), Asked("b")], Shares())
    with pytest.raises(DatasetError, match="2 times to split by"):
        split([Asked("a", time=1.0), Asked("b", time=2.0), Asked("c", time=2.0)], Shares(), "time")
    assert sorted(split([Asked("a"), Asked("b")], Shares(0.9, 0.1, 0))) == ["dev", "train"]


def test_names_of_splits() -> None:
    assert [split_name(s) for s in ("Validation", "training", " test", "test_hard")] == [
        "dev", "train", "test", "test_hard"
    ]  # fmt: skip
    with pytest.raises(DatasetError, match="'a/b' cannot name a split"):
        split_name("a/b")
