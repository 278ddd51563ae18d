"""BM25 as sparse vectors: the same scores, whatever the texts."""

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.dataset import Document
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.bm25_vectors import TermVectors, Vocabulary

WORDS = ["open", "opened", "the", "fridge", "冰箱門", "größe", "key-7", "x"]
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(WORDS)).map(" ".join),
    ),
    min_size=1,
    max_size=12,
)


def _dot(vectors: TermVectors, query: dict[int, int], row: int) -> float:
    numbers, weights = vectors[row]
    return sum(
        query.get(number, 0) * weight
        for number, weight in zip(numbers.tolist(), weights.tolist(), strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(["auto", "en", "de", "none"]))
def test_the_dot_product_is_the_score(texts: list[str], queries: list[str], language: str) -> None:
    index = Bm25.fit([Document(str(n), text) for n, text in enumerate(texts)], language)
    vectors = TermVectors.of(index)
    assert len(vectors) == len(texts)
    assert list(vectors.vocabulary.terms) == sorted(vectors.vocabulary.terms)
    counts = vectors.vocabulary.counts([*queries, *texts])
    found = [[_dot(vectors, query, row) for row in range(len(texts))] for query in counts]
    np.testing.assert_allclose(found, index.scores([*queries, *texts]), rtol=1e-5, atol=1e-7)
    for row in range(len(texts)):
        numbers, weights = vectors[row]
        assert (np.diff(numbers) > 0).all(), "Qdrant wants each term once"
        assert (weights > 0).all(), "so that only documents with a term of the query score"


def test_vectors_do_not_depend_on_the_order_in_which_terms_are_met() -> None:
    documents = [Document("1", "open the fridge"), Document("2", "a fridge door, a door")]
    first, again = (TermVectors.of(Bm25.fit(documents, "en")) for _ in range(2))
    assert first.vocabulary == again.vocabulary == Vocabulary("en", ["door", "fridg", "open"])
    assert [row.tolist() for row in first[1]] == [row.tolist() for row in again[1]]
    assert first.fingerprint == again.fingerprint


def test_the_fingerprint_is_of_all_that_scores_follow_from() -> None:
    def fingerprint(*texts: str, language: str = "en") -> str:
        documents = [Document(str(n), text) for n, text in enumerate(texts)]
        return TermVectors.of(Bm25.fit(documents, language)).fingerprint

    plain = fingerprint("open fridge", "door")
    assert plain == fingerprint("fridge open", "door")
    others = {
        fingerprint("open fridge", "fridge door"),  # another frequency
        fingerprint("open fridge", "door door"),  # another length
        fingerprint("open fridge", "door", ""),  # another number of documents
        fingerprint("open fridge", "window"),
        fingerprint("open fridge", "door", language="none"),
    }
    assert len(others | {plain}) == 6


def test_queries_are_counted_without_torch_and_scipy() -> None:
    program = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('torch', 'scipy', 'numba'))\n"  # importing them fails
        "from rabtriever_core.models.bm25_vectors import Vocabulary\n"
        "print(Vocabulary('en', ['door', 'open']).counts(['Open, opened doors', 'key']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[{1: 2, 0: 1}, {}]"
