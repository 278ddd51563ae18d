"""Stages that take no time: what they write has the shape of the real thing, and nothing else."""

import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.schema import SYSTEMS
from rabtriever_core.releases import promotion
from rabtriever_core.releases.gate_names import GATES
from rabtriever_core.releases.promotion import Outcome
from rabtriever_core.releases.record import GateResult, Release
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
    "level": "set",
    "severity": "error",
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
            row = {"file": "corpus.jsonl", "line": 2, "row": {"_id": "x"}, "reasons": ["empty"]}
            (output / "quarantine.jsonl").write_text(json.dumps(row) + "\n")
            return dict(VALIDATED)
        if name == "qdrant_collection":
            return {"alias": "demo", "collection": "demo__x", "mode": "local", "count": 3}
        if name == "benchmark_report":
            (output / "benchmark.json").write_text(json.dumps(benchmark()))
            (output / "benchmark.html").write_text("<p>report")
            return {}
        if name not in TRAINED:
            return {"documents": 3}
        rows = [f"{step},{1 / step},0.001" for step in range(1, 9)]
        (output / "history.csv").write_text("\n".join(["step,loss,learning_rate", *rows]) + "\n")
        dev = {"MRR@10": dev_mrr, "queries": dev_queries, "documents": 3}
        return {"final_loss": 0.125, "dev": dev}

    return make


def install(monkeypatch: pytest.MonkeyPatch, **makes: Make) -> None:
    """Replace every stage's `make`, with the given ones or stand-ins; every release passes."""
    monkeypatch.setattr(promotion, "promote", lambda *_, **__: outcome())
    for stage in STAGES:
        module = importlib.import_module(f"rabtriever_core.stages.{stage.name}")
        monkeypatch.setattr(module, "make", makes.get(stage.name) or standin(stage.name))
        monkeypatch.delattr(module, "is_live", raising=False)


def outcome(*failed: str, decision: str | None = None) -> Outcome:
    """A promotion, or, with failed gates, a refusal."""
    gates = tuple(
        GateResult(name=name, passed=name not in failed, figure=0.5, limit=None, text=f"{name}!")
        for name in GATES
    )
    release = Release(
        id="0001-abcdef",
        number=1,
        parent=None,
        alias="demo",
        dataset="demo",
        fingerprint="ab" * 32,
        data="cd" * 16,
        parts={"teacher": "ef" * 16},
        collection="demo__x",
        count=3,
        dimension=2,
        settings={},
        settings_hash="01" * 32,
        commit=None,
        dirty=False,
        metrics={"test": {"student": {"MRR@10": 0.5}}},
        gates=gates,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        created_by="somebody",
    )
    made: Any = decision or ("refused" if failed else "promoted")
    return Outcome(release, made)


def benchmark() -> dict[str, Any]:
    """Numbers as in benchmark.json, all equal."""
    result = {"metrics": dict.fromkeys(METRICS, 0.5), "queries": 3, "ms_per_query": 1.5}
    systems = {system: result for system in SYSTEMS}
    data: dict[str, Any] = {"name": "demo"}
    return {
        "schema": 1,
        "dataset": data,
        "splits": {"test": {"systems": systems, "comparisons": []}},
    }
