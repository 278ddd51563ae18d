"""Hard negatives by states, by words, and by both in turns."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabtriever_core.config import BiEncoderConfig, ScheduleConfig, TeacherConfig
from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.training.examples import Examples
from rabtriever_core.training.negatives import (
    Miner,
    Similarity,
    interleaved,
    lexical_negatives,
    mine,
)
from rabtriever_core.training.steps import start_step
from tests.core.small import RUNTIME, small_backbone, small_dataset

APART = small_dataset()
TEXTS = [text for id_, text in APART.queries.items() if id_.endswith("-0")]
# As it comes no query shares a word with a document: give each the words of other ones' queries.
DATASET = Dataset(
    "sharing",
    tuple(
        replace(document, text=f"{document.text} {TEXTS[i - 1]} {TEXTS[i - 5]}")
        for i, document in enumerate(APART.documents)
    ),
    APART.queries,
    APART.qrels,
)
BACKBONE = small_backbone(DATASET)
EXAMPLES = Examples.of(DATASET, "train", BACKBONE.prompt)
EVERYTHING = np.arange(len(EXAMPLES.documents))
TEACHER = TeacherConfig(
    schedule=ScheduleConfig(min_steps=20, max_steps=20, queries_per_step=4),
    documents_per_query=6,
    mining_depth=4,
    mining_refresh_steps=10,
)
ROWS = st.lists(st.integers(0, 9), unique=True).map(lambda row: np.array(row, dtype=np.int64))


def _miner(folder, sources: Sequence[str], examples: Examples = EXAMPLES) -> Miner:
    config = TEACHER.model_copy(update={"mining_sources": tuple(sources)})
    return Miner(GenerativeReranker(BACKBONE), examples, config, folder, RUNTIME.seed)


@given(ROWS, ROWS, st.integers(1, 25))
def test_sources_take_turns(a: np.ndarray, b: np.ndarray, depth: int) -> None:
    merged = interleaved([[a], [b]], depth)[0].tolist()
    assert len(set(merged)) == len(merged) == min(depth, len({*a.tolist(), *b.tolist()}))
    for ranking in (a.tolist(), b.tolist()):
        kept = [document for document in merged if document in ranking]
        # Whatever a source ranks r-th is among the first 2r + 1.
        assert all(merged.index(d) <= 2 * ranking.index(d) + 1 for d in kept)
    assert interleaved([[a]], depth)[0].tolist() == a[:depth].tolist()


def test_lexical_negatives_are_bm25s_ranking_without_the_relevant() -> None:
    scores = Bm25.fit(EXAMPLES.documents).scores(EXAMPLES.queries)
    pool = EVERYTHING[2:]
    mined = lexical_negatives(EXAMPLES, pool, 5, block=7)
    assert len(mined) == len(EXAMPLES.queries)
    assert any(len(row) for row in mined)
    for row, found, relevant in zip(scores, mined, EXAMPLES.relevant, strict=True):
        wrong = [d for d in np.argsort(-row, kind="stable") if d in pool and d not in relevant]
        assert found.tolist() == [d for d in wrong if row[d] > 0][:5]


def test_the_first_round_holds_both_sources(tmp_path) -> None:
    mined = _miner(tmp_path, ("encoder", "bm25")).at(0)
    near = Similarity.of(BACKBONE, EXAMPLES).hard_negatives(EXAMPLES, EVERYTHING, 4)
    lexical = lexical_negatives(EXAMPLES, EVERYTHING, 4)
    met = [rows for rows in zip(mined, near, lexical, strict=True) if len(rows[0])]
    assert met
    for row, *rankings in met:
        assert {row[0]} == {rankings[0][0]}
        assert set(row) <= set(rankings[0]) | set(rankings[1])
    assert any(set(row) - set(states) for row, states, _ in met)


def test_a_refresh_orders_and_filters_lexical_negatives_by_margin(tmp_path) -> None:
    mined = _miner(tmp_path, ("bm25",)).at(10)
    margins = GenerativeReranker(BACKBONE).margins(EXAMPLES.queries, EXAMPLES.documents)
    lexical = lexical_negatives(EXAMPLES, EVERYTHING, 8)
    assert any(len(row) for row in mined)
    for scores, row, found, relevant in zip(
        margins, mined, lexical, EXAMPLES.relevant, strict=True
    ):
        assert set(row.tolist()) <= set(found.tolist()) - relevant
        assert (np.diff(scores[row]) <= 1e-4).all()
        assert (scores[row] <= max(scores[sorted(relevant)]) + 1e-4).all()


def test_no_word_in_common_leaves_nothing_to_mine(tmp_path) -> None:
    documents = [Document("a", "alpha beta"), *(Document(f"{i}", f"gamma {i}") for i in range(8))]
    apart = Dataset("apart", tuple(documents), {"q": "delta"}, {"train": {"q": {"a": 1}}})
    examples = Examples.of(apart, "train", BACKBONE.prompt)
    miner = _miner(tmp_path, ("bm25",), examples)
    assert [row.tolist() for row in miner.at(0)] == [row.tolist() for row in miner.at(10)] == [[]]


@pytest.mark.parametrize("sources", [(), ("bm25", "bm25"), ("teacher",)])
@pytest.mark.parametrize("config", [TeacherConfig, BiEncoderConfig])
def test_sources_are_named_once(config, sources) -> None:
    with pytest.raises(ValueError, match="mining_sources"):
        config(mining_sources=sources)


def test_only_queries_that_training_meets_are_mined(tmp_path) -> None:
    """As if all had been: a large set has far more queries than a short training meets."""
    schedule = ScheduleConfig(min_steps=4, max_steps=4, queries_per_step=3, checkpoint_steps=10)
    config = TEACHER.model_copy(
        update={"schedule": schedule, "contrastive_queries": 2, "mining_refresh_steps": None}
    )
    mined = Miner(GenerativeReranker(BACKBONE), EXAMPLES, config, tmp_path, RUNTIME.seed).at(0)
    met = set()
    for step in range(4):
        met |= set(start_step("teacher", EXAMPLES, schedule, RUNTIME.seed, step)[1])
        met |= set(start_step("contrast", EXAMPLES, schedule, RUNTIME.seed, step, 2)[1])
    assert 0 < len(met) < len(EXAMPLES.queries)
    depth = config.mining_depth
    everything = np.arange(len(EXAMPLES.queries))
    whole = mine(("encoder",), BACKBONE, EXAMPLES, EVERYTHING, depth, everything)
    for query, (row, expected) in enumerate(zip(mined, whole, strict=True)):
        np.testing.assert_array_equal(row, expected if query in met else [])
