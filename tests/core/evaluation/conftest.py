"""Made-up but plausible benchmark numbers."""

from typing import Any

import pytest

from rabtriever_core.evaluation.schema import SYSTEM_LABELS, SYSTEMS

MRR = {"bm25": 0.06, "bi_encoder": 0.6, "teacher": 0.84, "student": 0.81}
MS = {"bm25": 0.3, "bi_encoder": 4.1, "teacher": 212.0, "student": 4.6}


def _system(name: str) -> dict[str, Any]:
    mrr = MRR[name]
    recall = {f"R@{k}": min(1.0, mrr * (0.8 + k / 50)) for k in (1, 3, 5, 10)}
    return {
        "metrics": recall | {"MRR@10": mrr, "nDCG@10": mrr},
        "queries": 120,
        "ms_per_query": MS[name],
        "confidence": {"MRR@10": [mrr - 0.02, mrr + 0.02]},
    }


@pytest.fixture
def benchmark() -> dict[str, Any]:
    comparison = {"a": "student", "metric": "MRR@10", "test": "paired randomization, two-sided"}
    return {
        "schema": 1,
        "dataset": {
            "name": "demo",
            "fingerprint": "ab" * 32,
            "documents": 64,
            "queries": {"train": 500, "dev": 120, "test": 120},
        },
        "splits": {
            split: {
                "systems": {name: _system(name) for name in SYSTEMS},
                "comparisons": [
                    comparison | {"b": "teacher", "difference": -0.03, "p_value": 0.03},
                    comparison
                    | {"b": "bm25", "difference": 0.75, "p_value": 1e-4, "p_value_holm": 2e-4},
                ],
            }
            for split in ("dev", "test")
        },
        "exactness": {"top10_agreement": 1.0, "hnsw_note": "not installed"},
        "seconds": {"teacher": 12.5},
        "response_time": [
            {"tokens": n, "teacher_ms": 20.0 + n, "student_ms": 4.0} for n in (16, 64, 256)
        ],
    }


@pytest.fixture
def with_all_systems(benchmark: dict[str, Any]) -> dict[str, Any]:
    """Every system there can be, and what those that are trained were trained on."""
    for split in benchmark["splits"].values():
        for name in SYSTEM_LABELS:
            split["systems"].setdefault(name, _system("bi_encoder"))
    budget = {"steps": 450, "queries": 5400, "pairs": 43200, "seconds": 61.25}
    benchmark["training"] = {
        name: dict(budget)
        for name in SYSTEM_LABELS
        if name not in ("popularity", "bm25", "minilm", "teacher_cosine", "hybrid")
    }
    del benchmark["training"]["student"]["seconds"]
    return benchmark
