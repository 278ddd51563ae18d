"""The pins of hydra-core, omegaconf and antlr4 in pyproject.toml, seen from Dagster.

DVC's dependencies ask for antlr4 4.9; under it every string selection dies with
`TypeError: ord() expected string of length 1`.
"""

from importlib.metadata import version

import dagster as dg
import pytest

from dagster_project.definitions import defs


@pytest.mark.parametrize(
    ("selection", "keys"),
    [
        ("*", 11),
        ("group:models", 4),
        ("teacher+", 6),
        ("kind:qdrant or key:student", 3),
    ],
)
def test_string_selections_are_parsed(selection: str, keys: int) -> None:
    graph = defs.resolve_asset_graph()
    assert len(dg.AssetSelection.from_string(selection).resolve(graph)) == keys


def test_the_parser_is_the_one_that_dagster_generated_for() -> None:
    assert version("antlr4-python3-runtime") == "4.13.2"
