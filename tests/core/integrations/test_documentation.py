"""What docs/how-to/querying.md prints for other libraries, run as it stands."""

import json
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.remote import RemoteRetriever
from rabtriever_core.workspace import VARIABLE, Workspace
from tests.core.integrations.test_mteb import local_task
from tests.documentation.blocks import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "querying.md"
EXAMPLES = {block.section: block.text for block in blocks(PAGE)}
QUERY = "I snapped at my sister and I'm so ashamed. Don't give me advice, just hear me out."


@pytest.fixture(autouse=True)
def in_the_workspace(released: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(released.root)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "false")


def _run(name: str, ours: str = "", said: str = "") -> dict[str, Any]:
    """What an example leaves; with other words in the place of its own."""
    names: dict[str, Any] = {}
    text = EXAMPLES[name]
    assert ours in text
    exec(compile(text.replace(ours, said) if ours else text, f"querying.md {name}", "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def in_place(retriever: AnyRetriever) -> tuple[str, str]:
    """What opens a release in the examples, and what connects in its place."""
    opens = "Retriever.open()"
    if isinstance(retriever, RemoteRetriever):
        return opens, f"Retriever.connect({retriever.url!r})"
    return opens, opens


@pytest.fixture
def expected(retriever: AnyRetriever) -> list[str]:
    return [hit.document_id for hit in retriever.search(QUERY, 3)]


def test_langchain(retriever: AnyRetriever, in_place: tuple[str, str]) -> None:
    fitting = [hit.document_id for hit in retriever.search(QUERY, 3) if hit.fits is not False]
    assert [document.id for document in _run("LangChain", *in_place)["documents"]] == fitting


def test_llama_index(expected: list[str], in_place: tuple[str, str]) -> None:
    assert [node.node_id for node in _run("LlamaIndex", *in_place)["nodes"]] == expected


def test_haystack(retriever: AnyRetriever, expected: list[str]) -> None:
    here = 'workspace="."'
    there = f"url={retriever.url!r}" if isinstance(retriever, RemoteRetriever) else here
    assert [document.id for document in _run("Haystack", here, there)["documents"]] == expected


def test_sentence_transformers() -> None:
    assert _run("sentence-transformers")["margins"].shape == (1, 1)


@pytest.mark.usefixtures("ready_graph")
def test_onnx(retriever: AnyRetriever) -> None:
    encoded = _run("ONNX")["encoded"]
    assert encoded.vectors[0] == pytest.approx(retriever.embed([QUERY]).vectors[0], abs=1e-4)


def test_mteb(
    released: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The task is one that lies here: SciFact would be downloaded."""
    import mteb

    from rabtriever_core.data.dataset import read_dataset

    asked: list[list[str]] = []

    def tasks_here(tasks: list[str]) -> list[Any]:
        asked.append(tasks)
        return [local_task(read_dataset(released.dataset_folder), "test")]

    evaluate = mteb.evaluate
    monkeypatch.setattr(mteb, "get_tasks", tasks_here)
    monkeypatch.setattr(mteb, "evaluate", lambda *a: evaluate(*a, cache=None, co2_tracker=False))
    _run("mteb")
    assert asked == [["SciFact"]]
    assert "rabtriever/small" in capsys.readouterr().out


def test_agents_start_what_the_tests_start() -> None:
    server = json.loads(EXAMPLES["MCP"])["mcpServers"]["rabtriever"]
    assert server["command"] == "rabtriever"
    assert server["args"] == ["mcp", "-w", "my-work"]
