"""A single query, answered as a service would: the same margins, and no work for nothing."""

from collections.abc import Sequence

import numpy as np
import pytest

from rabtriever_core.evaluation.systems import KnownDocuments, completed, reranker
from rabtriever_core.models.reranker import GenerativeReranker
from tests.core.small import small_backbone, small_dataset

DATASET = small_dataset()
BACKBONE = small_backbone(DATASET)
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("test")[:3]]


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_one_query_at_a_time_gives_the_same_margins(cosine_scale: float) -> None:
    teacher = GenerativeReranker(BACKBONE, cosine_scale)
    together = teacher.margins(QUERIES, DATASET.documents)
    alone = [KnownDocuments.of(teacher, DATASET.documents).margins(query) for query in QUERIES]
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_the_query_is_read_alone_only_where_the_margin_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read a query alone")

    monkeypatch.setattr(BACKBONE.prompt, "alone", never)
    KnownDocuments.of(GenerativeReranker(BACKBONE), DATASET.documents).margins(QUERIES[0])
    with pytest.raises(AssertionError, match="read a query alone"):
        KnownDocuments.of(GenerativeReranker(BACKBONE, 1.0), DATASET.documents).margins(QUERIES[0])


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_many_queries_rerank_as_one_does(cosine_scale: float) -> None:
    """Also a query that is asked twice, and candidates that differ from query to query."""
    teacher = GenerativeReranker(BACKBONE, cosine_scale)
    ids = [document.id for document in DATASET.documents]
    first = {query: ids[start : start + 4] for start, query in enumerate(QUERIES)}

    def retrieve(queries: Sequence[str]) -> list[dict[str, float]]:
        return [{id_: -float(rank) for rank, id_ in enumerate(first[q])} for q in queries]

    rank = reranker(teacher, DATASET.documents, retrieve, candidates=3)
    together = rank([*QUERIES, QUERIES[0]])
    alone = [rank([query])[0] for query in [*QUERIES, QUERIES[0]]]
    every = teacher.margins([*QUERIES, QUERIES[0]], DATASET.documents)
    for row, (many, one) in enumerate(zip(together, alone, strict=True)):
        assert set(many) == set(one) == set(first[[*QUERIES, QUERIES[0]][row]][:3])
        for id_, margin in many.items():
            assert margin == pytest.approx(one[id_], abs=1e-4)
            assert margin == pytest.approx(float(every[row, ids.index(id_)]), abs=1e-4)


def test_only_what_a_run_lacks_is_read() -> None:
    teacher = GenerativeReranker(BACKBONE)
    ids = [document.id for document in DATASET.documents]
    run = {"a": {ids[0]: 5.0}, "b": {}}
    whole = completed(
        teacher,
        DATASET.documents,
        run,
        {"a": ids[:2], "b": [ids[3]]},
        {"a": QUERIES[0], "b": QUERIES[1]},
    )
    margins = teacher.margins(QUERIES[:2], DATASET.documents)
    assert whole["a"] == {ids[0]: 5.0, ids[1]: pytest.approx(float(margins[0, 1]), abs=1e-4)}
    assert whole["b"] == {ids[3]: pytest.approx(float(margins[1, 3]), abs=1e-4)}
    assert run == {"a": {ids[0]: 5.0}, "b": {}}
