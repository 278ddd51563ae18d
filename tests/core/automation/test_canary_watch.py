"""The served release is asked the team's canaries."""

import json

import pytest

from rabtriever_core.automation.canary_watch import ask_canaries
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.releases.promotion import promote
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make, dvc, make, student  # noqa: F401

WRONG = (5,)


def canaries(workspace: Workspace, *lines: dict[str, object]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (workspace.root / "canaries.jsonl").write_text(text)


def test_failing_canaries_are_named_and_the_same_failure_has_the_same_key(make: Make) -> None:  # noqa: F811
    workspace = make(wrong=WRONG)
    released = promote(workspace, by="ana").release
    right = {"query": "tell 2", "must": ["d2"], "within": 1}
    canaries(workspace, right)
    assert ask_canaries(workspace).problems == []
    canaries(workspace, right, {"query": "tell 5", "must": ["d5"], "within": 1})
    found = ask_canaries(workspace)
    assert found.release == released.id
    assert found.problems == ["'tell 5' without d5 within 1"]
    assert found.text.startswith(f"1 of 2 canaries get what they must from release {released.id}")
    assert ask_canaries(workspace).key == found.key
    canaries(workspace, right, {"query": "tell 5", "must": ["d5", "d7"], "within": 1})
    assert ask_canaries(workspace).key != found.key


def test_without_canaries_nothing_is_opened(make: Make) -> None:  # noqa: F811
    workspace = make()
    found = ask_canaries(workspace)
    assert (found.asked, found.text) == (0, "no canaries.jsonl")
    canaries(workspace, {"query": "tell 2", "must": ["d2"]})
    with pytest.raises(IndexMismatchError, match="serves nothing"):
        ask_canaries(workspace)
