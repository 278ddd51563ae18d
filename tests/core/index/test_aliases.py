"""Aliases: one request, read back; pruning spares what is served."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.aliases import (
    alias_target,
    check_built_by,
    physical_collection,
    prune,
    switch_alias,
)
from rabtriever_core.index.collection import build_collection, physical_name


def _build(client: QdrantClient, alias: str, digit: str, documents: list[Document]) -> str:
    vectors = np.ones((len(documents), 2), dtype=np.float32)
    metadata = {"teacher": f"t{digit}", "student": f"s{digit}"}
    return build_collection(client, alias, digit * 12, documents, vectors, metadata, 50)


@pytest.fixture
def few(documents: list[Document]) -> list[Document]:
    return documents[:3]


def test_switch_is_one_request_and_read_back(
    client: QdrantClient, few: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (_build(client, "demo", digit, few) for digit in "ab")
    requests: list[int] = []
    update = client.update_collection_aliases

    def counted(change_aliases_operations: Sequence[Any]) -> bool:
        requests.append(len(change_aliases_operations))
        return update(change_aliases_operations=change_aliases_operations)

    monkeypatch.setattr(client, "update_collection_aliases", counted)
    assert switch_alias(client, "demo", a) is None
    assert switch_alias(client, "demo", b) == a
    assert switch_alias(client, "demo", b) == b
    assert requests == [1, 2, 2]
    assert alias_target(client, "demo") == b
    monkeypatch.setattr(client, "update_collection_aliases", lambda **_: True)
    with pytest.raises(IndexMismatchError, match=f"points at {b} instead of {a}"):
        switch_alias(client, "demo", a)


def test_switch_refuses(client: QdrantClient, few: list[Document]) -> None:
    a = _build(client, "demo", "a", few)
    switch_alias(client, "demo", a)
    with pytest.raises(IndexMismatchError, match="no collection demo__missing"):
        switch_alias(client, "demo", "demo__missing")
    assert alias_target(client, "demo") == a
    client.create_collection("plain", VectorParams(size=2, distance=Distance.DOT))
    with pytest.raises(IndexMismatchError, match=r"'plain' is the name of a collection.*index\."):
        switch_alias(client, "plain", a)


def test_prune_keeps_the_served_and_the_newest(client: QdrantClient, few: list[Document]) -> None:
    names = {digit: _build(client, "demo", digit, few) for digit in "edcba"}
    switch_alias(client, "demo", names["d"])
    assert prune(client, "demo", 3, {names["e"]}) == [names["c"], names["b"]]
    assert prune(client, "demo", 2) == [names["e"]]
    names["b"] = _build(client, "demo", "b", few)
    assert prune(client, "demo", 3) == []
    assert prune(client, "demo", 1) == [names["a"], names["b"]]
    assert prune(client, "demo", 1) == []
    assert alias_target(client, "demo") == names["d"]


def test_prune_leaves_other_aliases_alone(client: QdrantClient, few: list[Document]) -> None:
    others = ("demo__x", "demo2", "dem", "demo__", "demo__111111111111")
    kept = [_build(client, alias, "a", few) for alias in others]
    client.create_collection("demo__bbbbbbbbbbbb", VectorParams(size=2, distance=Distance.DOT))
    pinned = _build(client, "demo", "1", few)
    switch_alias(client, "stable", pinned)
    old = _build(client, "demo", "2", few)
    served = _build(client, "demo", "3", few)
    switch_alias(client, "demo", served)
    assert prune(client, "demo", 1) == [old]
    left = {collection.name for collection in client.get_collections().collections}
    assert left == {*kept, "demo__bbbbbbbbbbbb", pinned, served}


def test_a_collection_knows_what_built_it(client: QdrantClient, few: list[Document]) -> None:
    assert alias_target(client, "demo") is None
    name = _build(client, "demo", "a", few)
    switch_alias(client, "demo", name)
    assert alias_target(client, "demo") == name
    served = physical_collection(client, name)
    assert (served.name, served.count, served.dimension) == (physical_name("demo", "a" * 12), 3, 2)
    check_built_by(served, {"teacher": "ta", "student": "sa"})
    message = (
        r"collection demo__aaaaaaaaaaaa was built by another teacher \(ta\) than the query tower "
        r"here \(tb\): run `rabtriever run qdrant_collection`"
    )
    with pytest.raises(IndexMismatchError, match=message):
        check_built_by(served, {"student": "sa", "teacher": "tb"})


def test_foreign_collection_is_refused(client: QdrantClient) -> None:
    client.create_collection("other", VectorParams(size=2, distance=Distance.DOT))
    switch_alias(client, "demo", "other")
    with pytest.raises(IndexMismatchError, match="other was not built by rabtriever"):
        physical_collection(client, "other")
    with pytest.raises(IndexMismatchError, match="no collection missing in Qdrant"):
        physical_collection(client, "missing")
