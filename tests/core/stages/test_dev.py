"""The dev sample: the same for all systems, and no reason to train anything again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.stages import run_stage
from rabtriever_core.stages.dev import dev_metrics
from rabtriever_core.workspace import Workspace
from tests import standins
from tests.core.small import small_dataset


def test_two_systems_see_the_same_sample() -> None:
    settings = Settings.model_validate({"benchmark": {"dev_queries": 5, "dev_documents": 7}})
    seen = []

    def score(queries: Sequence[str], documents: Sequence[Document]) -> np.ndarray:
        seen.append((list(queries), [document.id for document in documents]))
        return np.random.default_rng(len(seen)).random((len(queries), len(documents)))

    first, _ = (dev_metrics(small_dataset(), settings, score) for _ in range(2))
    assert seen[0] == seen[1]
    assert (first["queries"], first["documents"]) == (5, 7)


def test_a_querys_own_document_is_no_wrong_hit() -> None:
    documents = tuple(Document(f"q{n}", f"text {n}") for n in range(4))
    queries = {f"q{n}": f"text {n}" for n in range(3)}
    qrels = {query: {"q3": 1} for query in queries}
    dataset = Dataset("own", documents, queries, {"train": {}, "dev": qrels})

    def score(queries: Sequence[str], documents: Sequence[Document]) -> np.ndarray:
        return np.array(
            [[(q == d.text) + 0.1 * (d.id == "q3") for d in documents] for q in queries]
        )

    assert dev_metrics(dataset, Settings(), score)["MRR@10"] == 1


def test_another_size_of_the_dev_sample_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standins.install(monkeypatch)
    chain = ("validated_dataset", "backbone", "bi_encoder", "teacher", "student")
    before, after = (
        Workspace(tmp_path, Settings.model_validate({"benchmark": {"dev_queries": queries}}))
        for queries in (300, 20)
    )
    for name in chain:
        assert not run_stage(before, name).reused
    for name in chain:
        assert run_stage(after, name).reused
