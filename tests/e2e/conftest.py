"""A workspace with a small data set of its own and settings that train in seconds."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rabtriever_core.data.dataset import write_dataset
from rabtriever_core.dvc.initialize import init_workspace
from rabtriever_core.workspace import Workspace
from tests.core.small import TINY, small_dataset

SHORT = {"min_steps": 30, "max_steps": 30, "queries_per_step": 8, "checkpoint_steps": 10}


def small_workspace(folder: Path, data: Path) -> Workspace:
    """Set up a workspace whose training takes seconds."""
    workspace = init_workspace(folder, data, preset="tiny")
    params = folder / "params.yaml"
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    schedules = {stage: {"schedule": SHORT} for stage in ("teacher", "student", "bi_encoder")}
    overlay(
        values,
        {
            "backbone": {"tiny": TINY.model_dump(), "warmup": SHORT},
            "prompt": {"max_query_tokens": 64},
            **schedules,
            "runtime": {"threads": 1, "device": "cpu"},
            "benchmark": {
                "latency_queries": 3,
                "document_lengths": [16, 32],
                "permutations": 200,
            },
            # Writing a graph takes seconds; tests of it are its own.
            "index": {"probe_queries": 5, "query_tower": "torch"},
            # Seconds of training reach no floor.
            "gates": {"teacher_mrr": 0, "student_share": 0, "max_loss": 1, "significance": 0},
        },
    )
    values["student"] |= {"refresh_steps": 15, "rollout_queries": 20}
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    return Workspace.open(workspace.root)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "small"
    write_dataset(small_dataset(), folder)
    return folder


def overlay(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Lay nested changes over the settings of a file, which need not hold them."""
    for name, change in changes.items():
        if isinstance(change, dict):
            overlay(values.setdefault(name, {}), change)
        else:
            values[name] = change
