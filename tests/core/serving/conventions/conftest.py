"""A service with keys at a real address, and a teacher that prefers long documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rabtriever_core.data.dataset import Document
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.serving import OpenRelease
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make, dvc, make, student
from tests.core.serving.listening import listening

__all__ = ["dvc", "make", "student"]

TEXTS = ["tale", "a longer tale", "tell me"]
"""Candidates; the teacher's order is 1, 2, 0."""


@dataclass(frozen=True)
class Address:
    """Where the service is, and a key of it."""

    url: str
    key: str
    workspace: Workspace

    @property
    def headers(self) -> dict[str, str]:
        """What a request shows."""
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def service(make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    def margins(_: OpenRelease, query: str, documents: list[Document]) -> list[float]:
        return [float(len(document.full_text)) for document in documents]

    monkeypatch.setattr(OpenRelease, "teacher_margins", margins)
    workspace = make()
    promote(workspace, by="ana")
    key = ApiKeys(workspace).create("ana")
    with listening(create_app(workspace)) as url:
        yield Address(url, key, workspace)


def ranked(results: Any) -> list[int]:
    """The candidates' places, and that their scores are falling probabilities."""
    pairs = [
        (each["index"], each["relevance_score"])
        if isinstance(each, dict)
        else (each.index, each.relevance_score)
        for each in results
    ]
    scores = [score for _, score in pairs]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    return [index for index, _ in pairs]
