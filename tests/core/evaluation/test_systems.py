"""A single query, answered as a service would: the same margins, and no work for nothing."""

import numpy as np
import pytest

from rabtriever_core.evaluation.systems import one_query_margins
from rabtriever_core.models.reranker import GenerativeReranker
from tests.core.small import small_backbone, small_dataset

DATASET = small_dataset()
BACKBONE = small_backbone(DATASET)
QUERIES = [DATASET.queries[q] for q in DATASET.split_queries("test")[:3]]
TOKENS = BACKBONE.prompt.documents(DATASET.documents)


@pytest.mark.parametrize("cosine_scale", [0.0, 20.0])
def test_one_query_at_a_time_gives_the_same_margins(cosine_scale: float) -> None:
    teacher = GenerativeReranker(BACKBONE, cosine_scale)
    together = teacher.margins(QUERIES, DATASET.documents)
    alone = [one_query_margins(teacher, query, TOKENS) for query in QUERIES]
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_the_query_is_read_alone_only_where_the_margin_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read a query alone")

    monkeypatch.setattr(BACKBONE.prompt, "alone", never)
    one_query_margins(GenerativeReranker(BACKBONE), QUERIES[0], TOKENS)
    with pytest.raises(AssertionError, match="read a query alone"):
        one_query_margins(GenerativeReranker(BACKBONE, 1.0), QUERIES[0], TOKENS)
