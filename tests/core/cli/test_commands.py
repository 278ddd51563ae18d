"""All commands: `--json`, sections of the help, the workspace from the environment."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from rabtriever_core.cli import app, completion
from rabtriever_core.cli.application import SECTIONS
from rabtriever_core.workspace import Workspace
from tests.core.cli.conftest import Rabtriever

WITHOUT_JSON = {
    "serve": "it runs until it is stopped, and its log is JSON",
    "mcp": "it speaks a protocol of its own",
}


def commands() -> Iterator[tuple[str, click.Command]]:
    def below(prefix: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield prefix.strip(), command
            return
        for name, each in command.commands.items():
            yield from below(f"{prefix} {name}", each)

    return below("", typer.main.get_command(app))


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda v: str(v)[:40])
def test_every_command_prints_json(name: str, command: click.Command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON)
    for parameter in command.params:
        if "--workspace" in parameter.opts and name != "lab measure-cache":
            assert parameter.envvar == "RABTRIEVER_WORKSPACE"


def test_the_help_has_every_command_in_a_section() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    places = [shown.index(f"\n{section}:\n") for section in SECTIONS]
    assert places == sorted(places)
    assert "\nCommands:" not in shown
    names = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert all(f"\n  {name} " in shown for name in names)


def test_experiments_are_one_line_of_the_help_and_their_old_names_are_known() -> None:
    top = CliRunner().invoke(app, ["--help"]).output
    assert "\n  lab " in top
    for name in ("ablate", "benchmark", "results", "measure-cache", "pretrain"):
        assert f"\n  {name} " not in top
        moved = CliRunner().invoke(app, [name, "--help"])
        assert moved.exit_code == 2
        assert f"`{name}` is now `rabtriever lab {name}`" in moved.output
        assert CliRunner().invoke(app, ["lab", name, "--help"]).exit_code == 0


def test_the_environment_names_the_workspace_where_no_option_does(
    rabtriever: Rabtriever, released: Workspace, tmp_path: Path
) -> None:
    assert len(json.loads(rabtriever("releases", "list", "--json").stdout)) == 1
    elsewhere = rabtriever("releases", "list", "--json", "-w", tmp_path, code=2)
    assert "rabtriever init" in elsewhere.stderr
    assert elsewhere.stdout == ""


def test_releases_as_json(rabtriever: Rabtriever) -> None:
    (row,) = json.loads(rabtriever("releases", "list", "--json").stdout)
    record = {
        *("schema_version", "id", "number", "parent", "alias", "dataset", "fingerprint", "data"),
        *("parts", "collection", "count", "dimension", "settings", "settings_hash", "commit"),
        *("dirty", "metrics", "gates", "override", "created", "created_by"),
    }
    assert row.keys() == record | {"served", "state", "log"}
    assert (row["served"], row["state"], row["count"]) == (True, "served", 24)
    assert row["gates"][0].keys() == {"name", "passed", "figure", "limit", "text"}
    assert row["log"][0].keys() >= {"time", "action", "release", "by", "reason"}
    assert json.loads(rabtriever("releases", "show", "1", "--json").stdout) == row


def test_what_releasing_did_as_json(rabtriever: Rabtriever) -> None:
    promoted = json.loads(rabtriever("releases", "promote", "--json").stdout)
    assert promoted.keys() == {"decision", "release", "collection", "gates"}
    assert promoted["decision"] == "served already"
    restored = json.loads(rabtriever("releases", "restore", "--json").stdout)
    assert restored == {name: promoted[name] for name in ("release", "collection")}
    assert json.loads(rabtriever("releases", "prune", "--json").stdout) == {"retired": []}


def test_keys_as_json(rabtriever: Rabtriever) -> None:
    made = json.loads(rabtriever("keys", "create", "app", "--json").stdout)
    assert made["name"] == "app"
    assert made["key"].startswith("rbt_")
    (listed,) = json.loads(rabtriever("keys", "list", "--json").stdout)
    assert listed.keys() == {"id", "name", "created", "revoked"}
    revoked = json.loads(rabtriever("keys", "revoke", "app", "--json").stdout)
    assert revoked["id"] == listed["id"]
    assert revoked["revoked"] is not None


def test_init_and_demo_as_json(tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["demo", str(tmp_path / "data"), "--json"])
    assert json.loads(shown.stdout) == {"folder": str(tmp_path / "data")}
    where = [str(tmp_path / "work"), "--data", str(tmp_path / "data"), "--json"]
    where += ["--preset", "tiny"]
    made = runner.invoke(app, ["init", *where])
    assert json.loads(made.stdout) == {"workspace": str(tmp_path / "work"), "dataset": "data"}


def test_the_kinds_that_are_completed_are_those_of_retraining() -> None:
    from rabtriever_core.automation.retraining import KEPT

    assert {"none", *completion.KINDS} == set(KEPT)
