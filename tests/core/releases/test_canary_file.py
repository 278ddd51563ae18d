"""Whatever canaries.jsonl holds, it is read, or the line that is wrong is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.config import Settings
from rabtriever_core.data.ids import id_problem
from rabtriever_core.errors import ConfigError, DatasetError
from rabtriever_core.releases.canary_file import canary_path, read_canaries
from rabtriever_core.workspace import Workspace
from tests.core.any_text import any_text

PLAIN = st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | any_text
IDS = st.lists(any_text | PLAIN, max_size=2)
ROWS = st.fixed_dictionaries(
    {"query": any_text},
    optional={"must": IDS | PLAIN, "must_not": IDS | PLAIN, "within": PLAIN, "note": PLAIN},
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("canaries"), Settings())


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS | PLAIN, max_size=4), st.booleans())
def test_any_rows(workspace: Workspace, rows: list[Any], ascii_only: bool) -> None:
    path: Path = canary_path(workspace)
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(errors="surrogatepass"))
    try:
        canaries = read_canaries(workspace)
    except (ConfigError, DatasetError) as error:
        assert str(path) in str(error)
        assert "line" in str(error)
        return
    assert [canary.query for canary in canaries] == [row["query"] for row in rows]
    for canary in canaries:
        assert canary.must or canary.must_not
        assert not any(map(id_problem, (*canary.must, *canary.must_not)))
