"""What benchmark.json may hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from rabtriever_core.evaluation.schema import validated


def test_accepts_and_rounds(benchmark: dict[str, Any]) -> None:
    system = benchmark["splits"]["test"]["systems"]["student"]
    system["metrics"]["MRR@10"] = 0.1234567891
    benchmark["exactness"] = {"top10_agreement": 1.0, "hnsw_recall@10": 0.99999999}
    result = validated(benchmark)
    assert result["schema"] == 1
    assert result["splits"]["test"]["systems"]["student"]["metrics"]["MRR@10"] == 0.123457
    assert result["exactness"] == {"top10_agreement": 1.0, "hnsw_recall@10": 1.0}
    assert "teacher_candidates" not in result
    assert validated(result) == result


def test_rejects_a_missing_system(benchmark: dict[str, Any]) -> None:
    del benchmark["splits"]["test"]["systems"]["teacher"]
    with pytest.raises(ValidationError, match="systems must be bm25, bi_encoder, teacher, student"):
        validated(benchmark)


def test_rejects_a_missing_metric_and_percentages(benchmark: dict[str, Any]) -> None:
    metrics = benchmark["splits"]["test"]["systems"]["student"]["metrics"]
    value = metrics.pop("R@3")
    with pytest.raises(ValidationError, match="metrics must be"):
        validated(benchmark)
    metrics["R@3"] = 100 * value
    with pytest.raises(ValidationError, match=r"lie in 0\.\.1"):
        validated(benchmark)


def test_rejects_unknown_fields(benchmark: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        validated(benchmark | {"secnods": {}})


def test_further_systems_are_welcome_unknown_ones_are_not(with_all_systems: dict[str, Any]) -> None:
    assert len(validated(with_all_systems)["splits"]["test"]["systems"]) == 12
    systems = with_all_systems["splits"]["test"]["systems"]
    systems["colbert"] = systems["student"]
    with pytest.raises(ValidationError, match=r"and may be popularity, minilm, .*; got .*colbert"):
        validated(with_all_systems)
