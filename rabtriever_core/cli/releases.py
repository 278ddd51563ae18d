"""`rabtriever releases`: what is served, where it came from, and how to go back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rabtriever_core.cli.application import RELEASE, app
from rabtriever_core.cli.completion import release_ids
from rabtriever_core.cli.options import (
    ByOption,
    JsonOption,
    ReleaseArgument,
    WorkspaceOption,
    print_json,
)
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace.access import user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rabtriever_core.releases.record import GateResult, Release
    from rabtriever_core.releases.table import Row
    from rabtriever_core.workspace import Workspace

releases_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Releases: list, compare, promote, roll back.",
)
app.add_typer(releases_app, name="releases", rich_help_panel=RELEASE)


@releases_app.command("list")
def list_releases(as_json: JsonOption = False, workspace: WorkspaceOption = Path()) -> None:
    """All releases, oldest first; the served one has a star."""
    from rabtriever_core.releases.table import rows

    found = rows(_open(workspace))
    if as_json:
        print_json([_plain(row) for row in found])
        return
    if not found:
        typer.echo("no releases yet: `rabtriever run all` builds and releases one")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("", "release", "state", "made", "data", "MRR@10", "by"):
        table.add_column(column)
    for row in found:
        release = row.release
        table.add_row(
            "*" if row.served else "",
            release.id,
            row.state,
            f"{release.created:%Y-%m-%d %H:%M}",
            f"{release.dataset} {release.fingerprint[:8]}",
            ", ".join(f"{split} {value:.3f}" for split, value in row.release.quality.items()),
            row.events[-1].by if row.events else release.created_by,
        )
    Console(highlight=False).print(table)


@releases_app.command()
def show(
    release: ReleaseArgument,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Everything about RELEASE: an id, its number, or the start of its id."""
    from rabtriever_core.releases.record import find_release
    from rabtriever_core.releases.table import rows

    found = {row.release.id: row for row in rows(_open(workspace))}
    row = found[find_release({id_: r.release for id_, r in found.items()}, release).id]
    if as_json:
        print_json(_plain(row))
        return
    record = row.release
    lines = {
        "state": row.state,
        "made": f"{record.created:%Y-%m-%d %H:%M} UTC by {record.created_by}",
        "parent": record.parent or "none",
        "data": f"{record.dataset} {record.fingerprint[:16]}, raw {record.data}",
        "settings": record.settings_hash[:16],
        "commit": f"{record.commit or 'none'}{' with changes' if record.dirty else ''}",
        "collection": f"{record.collection}, {record.count} documents",
    }
    for split, systems in record.metrics.items():
        shown = ", ".join(f"{name} {metrics['MRR@10']:.4f}" for name, metrics in systems.items())
        lines[split] = f"MRR@10: {shown}"
    typer.echo(f"release {record.id}")
    _say_columns(lines)
    typer.echo("parts")
    _say_columns(record.parts)
    _say_gates(record.gates)
    typer.echo("log")
    for event in row.events:
        typer.echo(f"  {event.time:%Y-%m-%d %H:%M} {event.action} by {event.by}  {event.reason}")


@releases_app.command()
def diff(
    a: ReleaseArgument,
    b: ReleaseArgument,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """What differs between the releases A and B: data, parts, settings, metrics."""
    from rabtriever_core.releases.difference import difference
    from rabtriever_core.releases.record import find_release, read_releases

    releases = read_releases(_open(workspace))
    found = difference(find_release(releases, a), find_release(releases, b))
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found['a']} → {found['b']}")
    for section in ("data", "parts", "settings", "metrics"):
        typer.echo(section if found[section] else f"{section}: no difference")
        for name, (before, after) in found[section].items():
            change = f"{before} → {after}"
            if section == "metrics" and before is not None and after is not None:
                change = f"{before:.4f} → {after:.4f} ({after - before:+.4f})"
            typer.echo(f"  {name}: {change}")


@releases_app.command()
def promote(
    release: Annotated[
        str | None, typer.Argument(show_default="what was built last", autocompletion=release_ids)
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Serve it although a gate does not pass.")
    ] = False,
    by: ByOption = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept with --override.")] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Hold RELEASE to the gates and serve it where it passes; exit code 1 where it does not."""
    if override and not (by and reason):
        raise ConfigError("--override needs --by NAME and --reason TEXT: both are kept for good")
    outcome = promote_and_say(
        _open(workspace), release, by=by, override=reason if override else None, aside=as_json
    )
    if as_json:
        print_json(outcome)
    if outcome["decision"] == "refused":
        raise typer.Exit(1)


@releases_app.command()
def rollback(
    release: Annotated[
        str | None, typer.Argument(show_default="the one served before", autocompletion=release_ids)
    ] = None,
    by: ByOption = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the log.")] = "",
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Serve an older RELEASE again, without gates."""
    from rabtriever_core.releases.promotion import rollback as roll_back

    opened = _open(workspace)
    served = roll_back(opened, release, by=_by(by), reason=reason)
    _tell_mlflow(opened)
    _say_served(served, as_json)


@releases_app.command()
def restore(
    release: Annotated[
        str | None, typer.Argument(show_default="the one served last", autocompletion=release_ids)
    ] = None,
    by: ByOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Serve RELEASE on a Qdrant or a machine that does not have it, from DVC, without training."""
    from rabtriever_core.releases.promotion import restore as bring_back

    opened = _open(workspace)
    served = bring_back(opened, release, by=_by(by))
    _tell_mlflow(opened)
    _say_served(served, as_json)


@releases_app.command()
def push(
    release: Annotated[
        str | None, typer.Argument(show_default="all that are kept", autocompletion=release_ids)
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Copy RELEASE to DVC's default remote, from which other machines restore it."""
    from rabtriever_core.releases.remote import push as push_releases

    pushed = push_releases(_open(workspace), release)
    if as_json:
        print_json({"pushed": pushed})
        return
    typer.echo(f"in the remote: {', '.join(pushed)}")


@releases_app.command()
def prune(
    by: ByOption = None, as_json: JsonOption = False, workspace: WorkspaceOption = Path()
) -> None:
    """Retire what the section `releases` of params.yaml no longer keeps."""
    from rabtriever_core.releases.promotion import prune as retire_now

    gone = retire_now(_open(workspace), by=_by(by))
    if as_json:
        print_json({"retired": gone})
        return
    typer.echo(f"retired: {', '.join(gone) or 'none'}")


def promote_and_say(
    workspace: "Workspace",
    release: str | None = None,
    *,
    by: str | None = None,
    override: str | None = None,
    aside: bool = False,
) -> dict[str, Any]:
    """Promote, print the gates (aside: on stderr), and give the outcome as JSON has it."""
    from rabtriever_core.releases.promotion import promote as promote_release

    outcome = promote_release(workspace, release, by=_by(by), override=override)
    _tell_mlflow(workspace)
    found = outcome.release
    _say_gates(found.gates, aside)
    if outcome.decision == "refused":
        typer.secho(
            f"release {found.id} is refused, what was served stays: {outcome.reason}",
            fg=typer.colors.RED,
            err=True,
        )
    else:
        typer.echo(f"{outcome.decision}: release {found.id} ({found.collection})", err=aside)
    return {
        "decision": outcome.decision,
        "release": found.id,
        "collection": found.collection,
        "gates": [gate.model_dump(mode="json") for gate in found.gates],
    }


def _open(folder: Path) -> "Workspace":
    from rabtriever_core.workspace import Workspace

    return Workspace.open(folder)


def _by(name: str | None) -> str:
    return name or user()


def _plain(row: "Row") -> dict[str, object]:
    return {
        **row.release.model_dump(mode="json"),
        "served": row.served,
        "state": row.state,
        "log": [event.model_dump(mode="json") for event in row.events],
    }


def _say_served(release: "Release", as_json: bool) -> None:
    if as_json:
        print_json({"release": release.id, "collection": release.collection})
        return
    typer.echo(f"served: release {release.id} ({release.collection})")


def _say_columns(rows: "Mapping[str, str]") -> None:
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        typer.echo(f"  {name:<{width}}  {text}")


def _say_gates(gates: "Sequence[GateResult]", aside: bool = False) -> None:
    for gate in gates:
        word = "passed" if gate.passed else "FAILED"
        typer.echo(f"  {word}  {gate.name}: {gate.text}", err=aside)


def _tell_mlflow(workspace: "Workspace") -> None:
    """Where the setting names one; what it imports is heavy."""
    from rabtriever_core.integrations.mlflow import keep_mlflow_informed

    keep_mlflow_informed(workspace)
