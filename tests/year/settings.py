"""Settings that train in a minute, or in a second."""

from typing import Any

import yaml

from rabtriever_core.workspace import Workspace

Values = dict[str, Any]


def _steps(steps: int, **more: Any) -> Values:
    return {"min_steps": steps, "max_steps": steps, "checkpoint_steps": 10, **more}


SHORT: Values = {
    "backbone": {
        "tiny": {
            "hidden_size": 96,
            "layers": 2,
            "heads": 4,
            "key_value_heads": 2,
            "intermediate_size": 192,
            "vocabulary_size": 3000,
        },
        "warmup": _steps(100),
    },
    "bi_encoder": {"schedule": _steps(100, queries_per_step=32)},
    "teacher": {
        "start": "bi_encoder",
        "cosine_scale": 20,
        "documents_per_query": 6,
        "schedule": _steps(100, queries_per_step=6, learning_rate=1e-3),
    },
    "student": {"schedule": _steps(100), "rollout_queries": 300},
    "benchmark": {
        "max_queries": 100,
        "dev_queries": 40,
        "permutations": 1000,
        "latency_queries": 5,
        "document_lengths": [16, 32],
    },
    "gates": {"max_loss": 0.03, "teacher_mrr": 0.2, "student_share": 0.8},
    "runtime": {"threads": 1, "device": "cpu"},
}
TINY: Values = {
    "backbone": {
        "tiny": {
            "hidden_size": 32,
            "layers": 2,
            "heads": 2,
            "key_value_heads": 1,
            "intermediate_size": 64,
            "vocabulary_size": 600,
            "max_positions": 256,
        },
        "warmup": _steps(60, queries_per_step=12, learning_rate=3e-3),
    },
    "prompt": {"max_query_tokens": 64},
    "bi_encoder": {"schedule": _steps(60, queries_per_step=12)},
    "teacher": {
        "start": "bi_encoder",
        "cosine_scale": 20,
        "documents_per_query": 6,
        "schedule": _steps(40, queries_per_step=6, learning_rate=1e-3),
    },
    "student": {"schedule": _steps(60, queries_per_step=12), "rollout_queries": 20},
    "benchmark": {
        "max_queries": 60,
        "dev_queries": 30,
        "dev_documents": 40,
        "permutations": 200,
        "latency_queries": 3,
        "document_lengths": [16, 32],
    },
    "validation": {"min_train_queries": 2},
    "gates": {"max_loss": 0.05, "teacher_mrr": 0, "student_share": 0},
    "runtime": {"threads": 1, "device": "cpu"},
    "index": {"probe_queries": 5},
}
_SCHEDULES = ("backbone.warmup", "bi_encoder.schedule", "teacher.schedule", "student.schedule")
WORSE = tuple(f"{name}.{end}_steps=1" for name in _SCHEDULES for end in ("min", "max"))
"""Models that were hardly trained. A student alone is not much worse for it: its predictor starts
near the query's own vector."""


def write_settings(workspace: Workspace, values: Values) -> None:
    """Put these into params.yaml."""
    path = workspace.root / "params.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    _merge(found, values)
    path.write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")


def _merge(target: Values, values: Values) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value
