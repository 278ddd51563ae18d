"""Filters: what they find against plain Python, and what is no filter."""

import json
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import FilterError
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.filters import MAX_CONDITIONS, MAX_VALUES, qdrant_filter
from rabtriever_core.index.query_tower import QueryVectors
from rabtriever_core.index.search import search

# Few of each kind, so that they meet; 1 and 1.0 are one value, True and "1" are others.
SCALARS = st.sampled_from([None, True, False, 0, 1, 2, 1.0, 0.1, -1.5, "", "1", "a", "A", "é b"])
FIELDS = st.sampled_from(["a", "b-c", "x.y", "x", "größe"])
METADATA = st.dictionaries(FIELDS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4)
NUMBERS = st.sampled_from([-1.5, 0, 0.1, 1, 1.0, 2, 3])
BOUNDS = st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS, min_size=1)
WANTED = SCALARS | st.lists(SCALARS, min_size=1, max_size=3)
CONDITIONS = WANTED | BOUNDS | st.builds(lambda b, w: {**b, "not": w}, BOUNDS | st.just({}), WANTED)
IDS = st.lists(st.sampled_from([f"doc {i}" for i in range(9)]), min_size=1, max_size=4)
ID_CONDITIONS = IDS | IDS.map(lambda ids: ids[0]) | IDS.map(lambda ids: {"not": ids})
FILTERS = st.builds(
    lambda by_field, by_id: by_field | by_id,
    st.dictionaries(FIELDS, CONDITIONS, max_size=3),
    st.just({}) | st.fixed_dictionaries({"document_id": ID_CONDITIONS}),
)
JOINED = st.recursive(
    FILTERS.filter(bool),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "$or": st.lists(inner, min_size=1, max_size=3),
            "$and": st.lists(inner, min_size=1, max_size=2),
            "$not": inner,
            "a": SCALARS,
        },
    ).filter(bool),
    max_leaves=4,
)
WHOLE = st.integers(-2, 2)


def _equal(held: object, wanted: object) -> bool:
    if isinstance(held, bool) or isinstance(wanted, bool):
        return held is wanted
    return held == wanted


def _one_of(held: Any, wanted: Any) -> bool:
    """The documented meaning of equality; a missing field is given as None."""
    listed = held if isinstance(held, list) else [held]
    return any(
        held in (None, [])
        if value is None
        else any(_equal(one, value) for one in listed if one is not None)
        for value in (wanted if isinstance(wanted, list) else [wanted])
    )


def _within(held: Any, bounds: dict[str, float]) -> bool:
    tests = {
        "gt": lambda n, bound: n > bound,
        "gte": lambda n, bound: n >= bound,
        "lt": lambda n, bound: n < bound,
        "lte": lambda n, bound: n <= bound,
    }
    return any(
        isinstance(one, int | float)
        and not isinstance(one, bool)
        and all(tests[name](one, bound) for name, bound in bounds.items())
        for one in (held if isinstance(held, list) else [held])
    )


def satisfies(document: Document, conditions: Mapping[str, Any]) -> bool:
    """Whether a filter, not yet in Qdrant's terms, finds a document."""
    for field, wanted in conditions.items():
        if field.startswith("$"):
            inner = [wanted] if field == "$not" else wanted
            found = [satisfies(document, each) for each in inner]
            if {"$or": not any(found), "$and": not all(found), "$not": all(found)}[field]:
                return False
            continue
        held = document.id if field == "document_id" else document.metadata.get(field)
        if not isinstance(wanted, dict):
            if not _one_of(held, wanted):
                return False
            continue
        bounds = {name: bound for name, bound in wanted.items() if name != "not"}
        if bounds and not _within(held, bounds):
            return False
        if "not" in wanted and _one_of(held, wanted["not"]):
            return False
    return True


@settings(max_examples=150, deadline=None)
@given(
    st.lists(METADATA, min_size=1, max_size=9),
    st.lists(st.none() | FILTERS | JOINED, min_size=1, max_size=4),
    st.lists(WHOLE, min_size=2 * 13, max_size=2 * 13),
    st.lists(st.integers(1, 10), min_size=4, max_size=4),
)
@example([{"a": []}, {"a": None}, {"a": [None]}, {}], [{"a": None}], [0] * 26, [9] * 4)
@example([{"x.y": 1}, {"x": 1}], [{"x.y": 1.0}, {"x": {"not": True}}], [1] * 26, [9] * 4)
def test_filtered_search_is_the_ranking_of_what_satisfies_the_filter(
    metadata: list[dict[str, Any]],
    filters: list[dict[str, Any] | None],
    numbers: list[int],
    depths: list[int],
) -> None:
    documents = [
        Document(f"doc {i * 5 % 9}", "x", metadata=fields) for i, fields in enumerate(metadata)
    ]
    drawn = np.array(numbers, dtype=np.float32).reshape(13, 2)
    vectors, queries = drawn[: len(documents)], drawn[9 : 9 + len(filters)]
    client = QdrantClient(":memory:")
    name = build_collection(client, "demo", "a" * 12, documents, vectors, {"dataset": "d"}, 25)
    asked = QueryVectors.plain(queries)
    found = search(client, name, asked, depths[: len(filters)], filters=filters)
    for query, conditions, k, hits in zip(queries, filters, depths, found, strict=False):
        rows = [r for r, d in enumerate(documents) if satisfies(d, conditions or {})]
        margins = vectors @ query
        order = sorted(rows, key=lambda r: (-margins[r], documents[r].id))[:k]
        assert [hit.document_id for hit in hits] == [documents[r].id for r in order]
        assert [hit.metadata for hit in hits] == [documents[r].metadata for r in order]
    client.close()


def test_a_cut_among_ties_is_by_document_id_with_a_filter_too() -> None:
    documents = [Document(f"{i * 7 % 100:02d}", "x", metadata={"n": i % 2}) for i in range(100)]
    client = QdrantClient(":memory:")
    vectors = np.ones((100, 2), dtype=np.float32)
    name = build_collection(client, "demo", "a" * 12, documents, vectors, {"dataset": "d"}, 50)
    asked = QueryVectors.plain(np.ones((2, 2), dtype=np.float32))
    found = search(client, name, asked, [3, 60], filters=[{"n": 1}, {"n": 0}])
    expected = [sorted(d.id for d in documents if d.metadata["n"] == n) for n in (1, 0)]
    assert [[hit.document_id for hit in hits] for hits in found] == [expected[0][:3], expected[1]]
    client.close()


@settings(max_examples=50, deadline=None)
@given(FILTERS)
def test_a_filter_is_the_same_after_a_journey_as_json(conditions: dict[str, Any]) -> None:
    assert qdrant_filter(json.loads(json.dumps(conditions))) == qdrant_filter(conditions)


def test_no_filter_and_one_in_the_terms_of_qdrant_stay_what_they_are() -> None:
    own = models.Filter(must=[models.HasIdCondition(has_id=[1])])
    assert qdrant_filter(own) is own
    assert qdrant_filter(None) is None
    assert qdrant_filter({}) is None


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ("lang = de", r"an object like \{\"lang\": \"de\"\}, not 'lang = de'"),
        ([{"lang": "de"}], "an object like"),
        ({"a b": 1}, "field 'a b': names are letters"),
        ({"": 1}, "field '': names are letters"),
        ({"a..b": 1}, r"field 'a\.\.b': names are"),
        ({'a"b': 1}, "names are letters"),
        ({"a[0]": 1}, "names are letters"),
        ({7: 1}, "field 7: names are letters"),
        ({"a" * 1001: 1}, "has 1001 characters, at most 1000"),
        ({"lang": "x" * 1001}, "field 'lang': 'xxx.*has 1001 characters, at most 1000"),
        ({"lang": "\ud83d"}, "field 'lang': .*half a surrogate pair"),
        ({"lang": []}, "field 'lang': the list of values is empty"),
        ({"lang": {"not": []}}, "field 'lang': the list of values is empty"),
        ({"lang": {}}, r"field 'lang': \{\} is no condition; it takes .* not, gt, gte, lt, lte"),
        ({"lang": {"is": "de"}}, "field 'lang': {'is': 'de'} is no condition"),
        ({"lang": {"gte": 1, "or": 2}}, "field 'lang': .*'or': 2} is no condition"),
        ({"lang": [["de"]]}, r"field 'lang': \['de'\] is no string, number, boolean or null"),
        ({"lang": {"not": {"not": 1}}}, "field 'lang': {'not': 1} is no string"),
        ({"lang": b"de"}, "field 'lang': b'de' is no string"),
        ({"year": {"gte": "2020"}}, "field 'year': gte takes a number, not '2020'"),
        ({"year": {"lt": True}}, "field 'year': lt takes a number, not True"),
        ({"year": {"lt": None}}, "field 'year': lt takes a number, not None"),
        ({"year": {"lt": float("inf")}}, "field 'year': inf is no JSON number"),
        ({"year": float("nan")}, "field 'year': nan is no JSON number"),
        ({"year": 2**53}, "field 'year': 9007199254740992 cannot be compared exactly"),
        ({"document_id": 7}, "field 'document_id': 7 is no id; ids are strings"),
        ({"document_id": ["d1", None]}, "field 'document_id': None is no id"),
        ({"document_id": {"gte": 1}}, "field 'document_id': {'gte': 1}: ids have no order"),
        ({"$or": []}, r"'\$or' takes a list of filters, none of them empty, not \[\]"),
        ({"$or": [{"lang": "de"}, {}]}, r"'\$or' takes a list of filters, none of them empty"),
        ({"$and": {"lang": "de"}}, r"'\$and' takes a list of filters"),
        ({"$or": "lang"}, r"'\$or' takes a list of filters"),
        ({"$not": {}}, r"'\$not' takes a filter, none of them empty"),
        ({"$not": "lang"}, "an object like"),
        ({"$not": {"$or": [{"a b": 1}]}}, "field 'a b': names are letters"),
        ({"$nor": [{"a": 1}]}, r"field '\$nor': names are letters"),
        (reduce(lambda f, _: {"$not": f}, range(17), {"a": 1}), "deeper than 16 levels"),
        ({f"f{i}": i for i in range(MAX_CONDITIONS + 1)}, "33 conditions, at most 32"),
        ({"a": list(range(MAX_VALUES)), "b": {"not": "x"}}, "1001 values, at most 1000"),
    ],
)
def test_what_is_no_filter_is_named(conditions: Any, problem: str) -> None:
    with pytest.raises(FilterError, match=problem):
        qdrant_filter(conditions)


def test_the_largest_filter_works(client: QdrantClient, documents: list[Document]) -> None:
    vectors = np.ones((30, 2), dtype=np.float32)
    name = build_collection(client, "demo", "a" * 12, documents, vectors, {"dataset": "d"}, 25)
    largest: dict[str, Any] = {f"f{i}": {"not": i} for i in range(MAX_CONDITIONS - 1)}
    missing = [f"no {i}" for i in range(MAX_VALUES - len(largest) - 1)]
    largest["document_id"] = [*missing, "doc 7"]
    asked = QueryVectors.plain(np.ones((1, 2), dtype=np.float32))
    (hits,) = search(client, name, asked, 5, filters=largest)
    assert [hit.document_id for hit in hits] == ["doc 7"]
