"""BM25 over title and text: words by their script's rules, stemmed, no stop words, no training."""

import logging
import sys
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.data.dataset import Document
from rabtriever_core.data.words import words
from rabtriever_core.models.languages import detected, stemmer, stop_words


class Postings(NamedTuple):
    """What terms weigh in documents, term by term."""

    terms: list[str]
    starts: NDArray[np.int64]
    """[terms + 1]: where each term's part of the other two begins."""
    documents: NDArray[np.int64]
    """Their numbers."""
    weights: NDArray[np.float32]
    """What an occurrence of the term in a query adds to the document's score."""


class Bm25:
    """Lexical ranking (bm25s' Lucene variant with its defaults k1 = 1.5, b = 0.75).

    `Bm25.fit(documents).scores(queries)` has one column per document, in the order given.
    """

    def __init__(self, index: Any, language: str, documents: int, tokens: int) -> None:
        self._index, self.language, self.documents, self.tokens = index, language, documents, tokens

    @classmethod
    def fit(cls, documents: Sequence[Document], language: str = "auto") -> "Bm25":
        """Index documents.

        Args:
            documents: to rank.
            language: whose endings and stop words do not count (`dataset.language`); `auto` tells
                it by the documents.

        Raises:
            ValueError: there are none.
        """
        if not documents:
            raise ValueError("no documents: BM25 needs at least one to index")
        texts = [_words(document.full_text) for document in documents]
        if language == "auto":
            _bm25s()  # before stop words are taken from it: see there
            language = detected(texts)
        found = _tokens(texts, language)
        if not any(found):
            # bm25s cannot index an empty vocabulary; nothing will ever match.
            return cls(None, language, len(documents), 0)
        index = _bm25s().BM25()
        index.index(found, create_empty_token=False, show_progress=False)
        return cls(index, language, len(documents), sum(map(len, found)))

    def scores(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Scores [n, m]; a query without a known word scores 0 everywhere."""
        scores = np.zeros((len(queries), self.documents), dtype=np.float32)
        if self._index is None:
            return scores
        for row, found in zip(scores, tokens(queries, self.language), strict=True):
            known = [token for token in found if token in self._index.vocab_dict]
            if known:
                row[:] = self._index.get_scores(known)
        return scores

    def postings(self) -> Postings:
        """The index itself."""
        if self._index is None:
            none = np.zeros(0, np.int64)
            return Postings([], np.zeros(1, np.int64), none, none.astype(np.float32))
        stored, numbers = self._index.scores, self._index.vocab_dict
        terms = sorted(numbers, key=numbers.__getitem__)
        starts, documents = (stored[name].astype(np.int64) for name in ("indptr", "indices"))
        return Postings(terms, starts, documents, stored["data"])


def tokens(texts: Sequence[str], language: str) -> list[list[str]]:
    """What is compared of texts: their words without stop words and endings, in order."""
    return _tokens([_words(text) for text in texts], language)


def _words(text: str) -> list[str]:
    return words(text, shortest=2)


def _tokens(texts: Sequence[list[str]], language: str) -> list[list[str]]:
    _bm25s()  # before stop words are taken from it: see there
    left_out, stem = stop_words(language), stemmer(language)
    return [stem([word for word in text if word not in left_out]) for text in texts]


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
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it would tell of every index
    module: ModuleType = bm25s
    return module
