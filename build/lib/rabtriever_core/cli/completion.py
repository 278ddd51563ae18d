"""What the shell offers after a tab: read from file names, so that nobody waits for it."""

import json
from importlib import resources
from pathlib import Path

import click
import typer

from rabtriever_core.models.known_models import KNOWN_MODELS
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.workspace import workspace_root

KINDS = ("reindex", "predictor", "full")
"""Of retraining, that somebody would ask for; their own module imports what takes a second."""


def stages(incomplete: str) -> list[str]:
    """Stages in the order they run, and all of them."""
    return _starting(incomplete, ["all", *(stage.name for stage in STAGES)])


def retraining_kinds(incomplete: str) -> list[str]:
    """What `rabtriever retrain` can be told."""
    return _starting(incomplete, KINDS)


def known_models(incomplete: str) -> list[str]:
    """What `rabtriever fetch-model` can be told."""
    return _starting(incomplete, list(KNOWN_MODELS))


def release_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Releases with a record in the workspace, newest first."""
    records = (_root(ctx) / "releases").glob("*.json")
    return _starting(incomplete, sorted((path.stem for path in records), reverse=True))


def splits(ctx: typer.Context, incomplete: str) -> list[str]:
    """Qrels files of the folder that was named, or of the workspace's validated data."""
    folder = ctx.params.get("folder") or _root(ctx) / "artifacts" / "validated_dataset"
    return _starting(
        incomplete, sorted(path.stem for path in Path(folder, "qrels").glob("[!.]*.tsv"))
    )


def plans(incomplete: str) -> list[str]:
    """Plans that come with the package; YAML files are the shell's business."""
    shipped = resources.files("rabtriever_core.lab.ablation") / "plans"
    names = (path.name for path in shipped.iterdir())
    return _starting(incomplete, sorted(n[:-5] for n in names if n.endswith(".yaml")))


def baseline_names(incomplete: str) -> list[str]:
    """What `rabtriever lab baselines` can train or measure."""
    from rabtriever_core.lab.baselines.systems import BASELINES

    return _starting(incomplete, BASELINES)


def key_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the keys in use."""
    try:
        kept = json.loads((_root(ctx) / "api_keys.json").read_text(encoding="utf-8"))
        names = [key["name"] for key in kept if key["revoked"] is None]
    except (OSError, ValueError, KeyError, TypeError):
        # Whoever presses a tab is not told of a damaged file: the command does that.
        return []
    return _starting(incomplete, names)


def _root(ctx: click.Context) -> Path:
    return workspace_root(ctx.params.get("workspace"))


def _starting(incomplete: str, names: "list[str] | tuple[str, ...]") -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
