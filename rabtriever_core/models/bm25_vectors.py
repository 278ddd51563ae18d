"""BM25 as sparse vectors: a document's term weights times a query's term counts is its score."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.models.bm25 import Bm25, tokens

Counts = dict[int, int]
"""Number of a term → how often a query has it; terms that no document has are left out."""
Row = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Terms of a document in rising order, and their weights."""


@dataclass(frozen=True)
class Vocabulary:
    """The terms of a collection: all that a query's side takes."""

    language: str
    """Whose endings and stop words do not count."""
    terms: Sequence[str]
    """In the order of their numbers, sorted."""

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {term: number for number, term in enumerate(self.terms)}

    def counts(self, queries: Sequence[str]) -> list[Counts]:
        """The sparse vectors of queries."""
        known = self._numbers
        return [
            dict(Counter(known[term] for term in terms if term in known))
            for terms in tokens(queries, self.language)
        ]


@dataclass(frozen=True)
class TermVectors:
    """The sparse vectors of a collection's documents, in their order."""

    vocabulary: Vocabulary
    starts: NDArray[np.int64]
    """[m + 1]: where each document's part of the other two begins."""
    numbers: NDArray[np.int64]
    """[z]."""
    weights: NDArray[np.float32]
    """[z], above 0."""
    tokens: int
    """Of all documents together; with the numbers, all that weights follow from."""

    @classmethod
    def of(cls, index: Bm25) -> "TermVectors":
        """The vectors of an index's documents."""
        found = index.postings()
        terms = sorted(found.terms)
        number = {term: rank for rank, term in enumerate(terms)}
        ranks = np.array([number[term] for term in found.terms], dtype=np.int64)
        numbers = np.repeat(ranks, np.diff(found.starts))
        order = np.lexsort((numbers, found.documents))
        sizes = np.bincount(found.documents, minlength=index.documents)
        return cls(
            Vocabulary(index.language, terms),
            np.concatenate([[0], np.cumsum(sizes)]),
            numbers[order],
            found.weights[order],
            index.tokens,
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> Row:
        part = slice(self.starts[row], self.starts[row + 1])
        return self.numbers[part], self.weights[part]

    def part(self, start: int, stop: int) -> "TermVectors":
        """Those of some documents in a row."""
        return replace(self, starts=self.starts[start : stop + 1])

    def scores(self, queries: Sequence[Counts]) -> NDArray[np.float32]:
        """BM25 of every document: [n, m]."""
        documents = np.repeat(np.arange(len(self)), np.diff(self.starts))
        found = np.zeros((len(queries), len(self)), dtype=np.float32)
        for row, query in zip(found, queries, strict=True):
            counts = np.zeros(len(self.vocabulary.terms))
            counts[list(query)] = list(query.values())
            row[:] = np.bincount(documents, self.weights * counts[self.numbers], len(self))
        return found

    @property
    def fingerprint(self) -> str:
        """Hash of what scores follow from: language, terms, in how many documents, their length."""
        frequencies = np.bincount(self.numbers, minlength=len(self.vocabulary.terms)).tolist()
        known = [self.vocabulary.language, *self.vocabulary.terms, *frequencies]
        text = json.dumps([*known, len(self), self.tokens])
        return hashlib.sha256(text.encode()).hexdigest()[:32]
