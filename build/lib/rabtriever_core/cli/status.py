"""`rabtriever status`: what is up to date, and why the rest is not."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rabtriever_core.cli.application import MAKE, app, examples
from rabtriever_core.cli.options import JsonOption, OverridesOption, WorkspaceOption, print_json
from rabtriever_core.stages.registry import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rabtriever_core.stages.status import StageStatus
    from rabtriever_core.workspace import Workspace

_COLORS = {
    "up to date": typer.colors.GREEN,
    "damaged": typer.colors.RED,
    "stopped": typer.colors.RED,
}


@app.command(
    rich_help_panel=MAKE,
    epilog=examples("rabtriever status", "rabtriever status --set teacher.schedule.epochs=3"),
)
def status(
    overrides: OverridesOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Show for every stage whether its artifact is up to date, and if not, why.

    Nothing is built. dvc.yaml is brought up to date with this package, so that `dvc status` and
    `dvc repro` see the same. Exit code 1 where something would be built.
    """
    from rabtriever_core.dvc.pipeline import sync_pipeline
    from rabtriever_core.workspace import Workspace

    opened = Workspace.open(workspace, tuple(overrides or ()))
    try:
        sync_pipeline(opened.root)
    except OSError as error:
        typer.echo(f"dvc.yaml was left as it is, DVC may see something else: {error}", err=True)
    if not show_status(opened, tuple(stage.name for stage in STAGES), as_json=as_json):
        raise typer.Exit(1)


def show_status(workspace: "Workspace", stages: "Sequence[str]", *, as_json: bool) -> bool:
    """Print the status of these stages; returns whether all are up to date."""
    from rabtriever_core.stages.status import workspace_status

    found = [each for each in workspace_status(workspace) if each.stage in stages]
    if as_json:
        print_json({"workspace": str(workspace.root), "stages": [each.as_json() for each in found]})
    else:
        for each in found:
            _print(each)
    return all(each.state == "up to date" for each in found)


def _print(status: "StageStatus") -> None:
    width = max(len(stage.name) for stage in STAGES)
    state = typer.style(f"{status.state:<10}", fg=_COLORS.get(status.state, typer.colors.YELLOW))
    typer.echo(f"{status.stage:<{width}}  {state}  {'; '.join(status.reasons)}".rstrip())
