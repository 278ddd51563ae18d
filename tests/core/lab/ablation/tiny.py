"""A plan and settings that train in a second."""

import json
from collections.abc import Sequence
from pathlib import Path

from rabtriever_core.data.dataset import write_dataset
from tests.core.small import TINY, small_dataset

_SHORT = {"min_steps": 10, "max_steps": 10, "queries_per_step": 4, "checkpoint_steps": 10}
_SCHEDULES = ("backbone.warmup", "bi_encoder.schedule", "teacher.schedule", "student.schedule")
SETTINGS = (
    *(f"{schedule}.{key}={value}" for schedule in _SCHEDULES for key, value in _SHORT.items()),
    *(f"backbone.tiny.{key}={json.dumps(value)}" for key, value in TINY.model_dump().items()),
    "prompt.max_query_tokens=64",
    "runtime.threads=1",
    "runtime.device=cpu",
    "student.rollout_queries=12",
    "student.documents_per_query=4",
    "student.refresh_steps=10",
    "teacher.documents_per_query=4",
)
PLAN = """\
title: Tiny plan
note: Two variants.
systems: [student, bi_encoder]
printed: "somewhere: another setting"
variants:
  full: {label: full, printed: {Elsewhere: 50.0}}
  no-mse: {label: without MSE, set: [student.mse_weight=0, student.schedule.learning_rate=0.01]}
"""


def write_data(folder: Path) -> Path:
    """The small data set on disk."""
    folder.mkdir(parents=True)
    write_dataset(small_dataset(), folder)
    return folder


def command(plan: object, root: Path, data: Sequence[Path], seeds: str = "1,2") -> list[str]:
    """Arguments of `rabtriever lab ablate`."""
    arguments = ["lab", "ablate", str(plan), "--seeds", seeds]
    for folder in data:
        arguments += ["--data", str(folder)]
    arguments += ["--work", str(root / "work"), "--out", str(root / "out")]
    for setting in SETTINGS:
        arguments += ["--set", setting]
    return arguments
