"""docs/lab.md and docs/results.md: the commands exist as printed, and the plan is one."""

import json
import shlex

import click
import pytest
import typer
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.data.demo import write_demo
from rabtriever_core.lab.ablation.plan import plan_names
from tests.documentation.blocks import ROOT, blocks

PAGES = [ROOT / "docs" / name for name in ("lab.md", "results.md")]
COMMANDS = [
    line.partition(" #")[0].strip()
    for page in PAGES
    for block in blocks(page)
    for line in block.text.splitlines()
    if line.startswith("rabtriever")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_printed_command_exists(line: str) -> None:
    command: click.Command = typer.main.get_command(app)
    _, *words = shlex.split(line)
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    assert command.make_context(line, words).params


def test_the_printed_plan_can_be_carried_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("plan")
    write_demo(folder / "my-data")
    (plan,) = (b.text for b in blocks(PAGES[0]) if b.language == "yaml")
    (folder / "weights.yaml").write_text(plan)
    arguments = [str(folder / "weights.yaml"), "--data", str(folder / "my-data"), "--seeds", "17"]
    arguments += ["--work", str(folder / "work"), "--dry-run", "--json"]
    result = CliRunner().invoke(app, ["lab", "ablate", *arguments])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["runs"]) == 2


def test_every_plan_of_the_package_is_named() -> None:
    text = PAGES[0].read_text("utf-8")
    assert [name for name in plan_names() if f"`{name}`" not in text] == []
