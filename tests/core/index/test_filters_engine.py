"""Filters on Qdrant's own engine: they mean there what they mean in local mode."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from qdrant_client import models

from rabtriever_core.data.dataset import Document
from rabtriever_core.index.collection import payload
from rabtriever_core.index.filters import qdrant_filter
from rabtriever_core.index.vectors import point_id
from tests.core.index.test_filters import FILTERS, METADATA, satisfies

edge = pytest.importorskip("qdrant_edge", reason="needs the extra edge")


def _condition(condition: Any) -> Any:
    """The same in the engine's own classes."""
    if isinstance(condition, models.Filter):
        return _filter(condition)
    if isinstance(condition, models.HasIdCondition):
        return edge.HasIdCondition({uuid.UUID(str(id_)) for id_ in condition.has_id})
    if isinstance(condition, models.IsEmptyCondition):
        return edge.IsEmptyCondition(condition.is_empty.key)
    if isinstance(condition.match, models.MatchAny):
        return edge.FieldCondition(condition.key, match=edge.MatchAny(condition.match.any))
    bounds = condition.range.model_dump(exclude_none=True)
    return edge.FieldCondition(condition.key, range=edge.RangeFloat(**bounds))


def _filter(wanted: models.Filter) -> Any:
    parts = {name: getattr(wanted, name) for name in ("must", "should", "must_not")}
    return edge.Filter(**{n: [_condition(c) for c in cs] for n, cs in parts.items() if cs})


def _without_booleans(conditions: Any) -> Any:
    """The engine's Python classes take True for 1, which JSON over HTTP does not."""
    if isinstance(conditions, dict):
        return {name: _without_booleans(each) for name, each in conditions.items()}
    if isinstance(conditions, list):
        return [_without_booleans(each) for each in conditions]
    return int(conditions) if isinstance(conditions, bool) else conditions


@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(METADATA, min_size=9, max_size=9),
    st.lists(FILTERS.filter(bool).map(_without_booleans), min_size=20, max_size=20),
)
def test_the_engine_finds_what_satisfies_a_filter(
    tmp_path: Path, metadata: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> None:
    documents = [Document(f"doc {i}", "x", metadata=m) for i, m in enumerate(metadata)]
    folder = tmp_path / str(uuid.uuid4())
    folder.mkdir()
    config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot))
    shard = edge.EdgeShard.create(str(folder), config)
    points = [edge.Point(uuid.UUID(point_id(d.id)), [1.0], payload(d)) for d in documents]
    shard.update(edge.UpdateOperation.upsert_points(points))
    for conditions in filters:
        wanted = qdrant_filter(conditions)
        assert wanted is not None
        request = edge.SearchRequest(
            query=edge.Query.Nearest([1.0]), limit=99, filter=_filter(wanted), with_payload=True
        )
        found = {hit.payload["document_id"]: hit.payload for hit in shard.search(request)}
        expected = {d.id: payload(d) for d in documents if satisfies(d, conditions)}
        assert found == expected, conditions
    shard.close()
