"""BM25 over title and text: stemmed words, no stop words, no training."""

import sys
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.data.dataset import Document


class Bm25:
    """Lexical ranking (bm25s' Lucene variant with its defaults k1 = 1.5, b = 0.75).

    `Bm25.fit(documents).scores(queries)` has one column per document, in the order given.
    """

    def __init__(self, index: Any, stemmer: Any, documents: int) -> None:
        self._index, self._stemmer, self._documents = index, stemmer, documents

    @classmethod
    def fit(cls, documents: Sequence[Document]) -> "Bm25":
        """Index documents.

        Raises:
            ValueError: there are none.
        """
        import Stemmer

        if not documents:
            raise ValueError("no documents: BM25 needs at least one to index")
        stemmer = Stemmer.Stemmer("english")
        tokens = _tokenize([document.full_text for document in documents], stemmer)
        if not any(tokens):
            # bm25s cannot index an empty vocabulary; nothing will ever match.
            return cls(None, stemmer, len(documents))
        index = _bm25s().BM25()
        index.index(tokens, create_empty_token=False, show_progress=False)
        return cls(index, stemmer, len(documents))

    def scores(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Scores [n, m]; a query without a known word scores 0 everywhere."""
        scores = np.zeros((len(queries), self._documents), dtype=np.float32)
        if self._index is None:
            return scores
        for row, tokens in zip(scores, _tokenize(queries, self._stemmer), strict=True):
            known = [token for token in tokens if token in self._index.vocab_dict]
            if known:
                row[:] = self._index.get_scores(known)
        return scores


def _tokenize(texts: Sequence[str], stemmer: Any) -> list[list[str]]:
    tokens: list[list[str]] = _bm25s().tokenize(
        list(texts),
        stopwords="en",
        stemmer=stemmer,
        return_ids=False,
        show_progress=False,
    )
    # A text without words comes back as one empty word.
    return [[token for token in row if token] for row in tokens]


@cache
def _bm25s() -> ModuleType:
    """bm25s, kept from loading jax: it tries jax where that is installed, on the first GPU.

    jax then reserves three quarters of the GPU's memory for a process that ranks on the CPU.
    """
    modules: dict[str, Any] = sys.modules
    loaded = modules.get("jax")
    modules["jax"] = None  # importing it fails, as if it were not installed
    try:
        import bm25s
    finally:
        del modules["jax"]
        if loaded is not None:
            modules["jax"] = loaded
    module: ModuleType = bm25s
    return module
