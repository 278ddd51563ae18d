"""A teacher whose margins are given, for tests of what is made from them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.data.dataset import Document
from rabtriever_core.models import reranker

Margins = Callable[[Sequence[str], Sequence[Document]], np.ndarray]
"""Query texts and documents → margins [n, m]."""


class StandinTeacher:
    """The part of a teacher that scores candidates."""

    def __init__(self, margins: Margins) -> None:
        self.margins = margins

    def candidate_margins(
        self,
        queries: Sequence[str],
        documents: Sequence[Document],
        candidates: np.ndarray,
        label: str | None,
    ) -> np.ndarray:
        """[n, k]."""
        return np.take_along_axis(self.margins(queries, documents), candidates, axis=1)


def install(monkeypatch: pytest.MonkeyPatch, margins_of: Callable[[Path], Margins]) -> None:
    """Have teacher artifacts opened as stand-ins; `margins_of` is given the artifact's folder."""
    monkeypatch.setattr(
        reranker.GenerativeReranker,
        "load",
        classmethod(lambda _, folder, runtime: StandinTeacher(margins_of(folder))),
    )
