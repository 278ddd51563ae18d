"""`rabtriever releases track`: what other tools are told of releases."""

from dataclasses import asdict
from pathlib import Path

import typer

from rabtriever_core.cli.options import JsonOption, WorkspaceOption, print_json
from rabtriever_core.cli.releases import releases_app


@releases_app.command()
def track(as_json: JsonOption = False, workspace: WorkspaceOption = Path()) -> None:
    """Tell MLflow (`tracking.mlflow`) of all that it does not know yet.

    Promotions and rollbacks do so themselves; this catches up where MLflow was away, or is new.
    """
    from rabtriever_core.integrations.mlflow import tell_mlflow
    from rabtriever_core.workspace import Workspace

    told = tell_mlflow(Workspace.open(workspace))
    if as_json:
        print_json(asdict(told))
        return
    typer.echo(f"runs logged: {', '.join(told.runs) or 'none'}")
    versions = [f"{version} ({release})" for release, version in told.versions.items()]
    typer.echo(f"model versions registered: {', '.join(versions) or 'none'}")
    typer.echo(f"the alias served leads to: {told.served or 'nothing'}")
