"""Stages that take no time: what they write has the shape of the real thing, and nothing else."""

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.schema import SYSTEMS
from rabtriever_core.stages import STAGES, StageContext

Make = Callable[[StageContext], dict[str, Any]]
TRAINED = ("backbone", "bi_encoder", "teacher", "student")
VALIDATED: dict[str, Any] = {
    "passed": True,
    "broken": [],
    "documents": 3,
    "rows": {"corpus.jsonl": 4, "queries.jsonl": 9},
    "quarantined": {"corpus.jsonl": 1},
    "reasons": {"text_present": 1},
    "warnings": [],
    "queries": {"train": 6, "dev": 3},
}
RULE = {
    "name": "enough_documents",
    "table": "clean_splits",
    "broken": 1,
    "checked": 4,
    "sentence": "there are documents | many",
    "examples": ["a"],
    "passed": False,
}


def standin(name: str, dev_mrr: float = 0.5, dev_queries: int = 3) -> Make:
    """The `make` function that stands in for a stage."""

    def make(context: StageContext) -> dict[str, Any]:
        output = context.output
        parents = "".join(artifact.hash for artifact in context.inputs.values())
        (output / "content.txt").write_text(f"{name} {parents}")
        if name == "validated_dataset":
            (output / "validation.json").write_text(json.dumps([RULE]))
            return dict(VALIDATED)
        if name == "qdrant_collection":
            return {"alias": "demo", "collection": "demo__x", "mode": "local", "count": 3}
        if name == "benchmark_report":
            (output / "benchmark.json").write_text(json.dumps(benchmark()))
            (output / "benchmark.html").write_text("<p>report")
            return {}
        if name == "baselines":
            return {}
        if name not in TRAINED:
            return {"documents": 3}
        rows = [f"{step},{1 / step},0.001" for step in range(1, 9)]
        (output / "history.csv").write_text("\n".join(["step,loss,learning_rate", *rows]) + "\n")
        dev = {"MRR@10": dev_mrr, "queries": dev_queries, "documents": 3}
        return {"final_loss": 0.125, "dev": dev}

    return make


def install(monkeypatch: pytest.MonkeyPatch, **makes: Make) -> None:
    """Replace every stage's `make`, with the given ones or stand-ins."""
    for stage in STAGES:
        module = importlib.import_module(f"rabtriever_core.stages.{stage.name}")
        monkeypatch.setattr(module, "make", makes.get(stage.name) or standin(stage.name))
        monkeypatch.delattr(module, "is_live", raising=False)


def benchmark() -> dict[str, Any]:
    """Numbers as in benchmark.json, all equal."""
    result = {"metrics": dict.fromkeys(METRICS, 0.5), "queries": 3, "ms_per_query": 1.5}
    systems = {system: result for system in SYSTEMS}
    return {"schema": 1, "splits": {"test": {"systems": systems, "comparisons": []}}}
