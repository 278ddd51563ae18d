"""Generate dvc.yaml from the table of stages: `dvc repro` and Dagster run the same chain."""

from typing import Any

from rabtriever_core.stages.registry import STAGES, Stage

_HEADER = """\
# Written by `rabtriever init` from rabtriever_core/stages/registry.py, which is the place to edit;
# stages of your own belong in the dvc.yaml of a folder of their own.
# `dvc repro` runs what changed, `dvc metrics show` and `dvc plots show` display the results.
"""

_TRAINED = ("backbone", "bi_encoder", "teacher", "student")


def dvc_yaml() -> str:
    """Text of dvc.yaml; what settings name in it is read from params.yaml by DVC itself."""
    import yaml

    content = {
        "stages": {stage.name: _entry(stage) for stage in STAGES},
        "metrics": ["reports/benchmark.json"],
        "plots": [
            {f"artifacts/{name}/history.csv": {"x": "step", "y": "loss", "title": f"{name}: loss"}}
            for name in _TRAINED
        ],
    }
    return _HEADER + yaml.safe_dump(content, sort_keys=False, width=100)


def _entry(stage: Stage) -> dict[str, Any]:
    raw_data = ["${dataset.folder}"] if not stage.inputs else []
    read = [f"artifacts/{name}" for name in stage.inputs if name not in stage.choices]
    if stage.chosen_by:
        read.append(f"artifacts/${{{stage.chosen_by}}}")
    return {
        "desc": stage.summary,
        # The workspace is where this file is, whatever RABTRIEVER_WORKSPACE says.
        "cmd": f"rabtriever run {stage.name} --workspace .",
        "deps": raw_data + read,
        "params": list(stage.sections),
        # The stage replaces its artifact itself, in one move: DVC must not delete it beforehand.
        "outs": [{stage.out: {"persist": True}}],
    }


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(dvc_yaml(), encoding="utf-8")
