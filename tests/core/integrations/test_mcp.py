"""Search as a tool of agents: a real client of the protocol, in process and over stdio."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.remote import RemoteRetriever
from rabtriever_core.workspace import Workspace

mcp = pytest.importorskip("mcp")

QUERY = "He lied again and I am furious. It is two in the morning."
ROOT = Path(__file__).parents[3]


def _with_client(server: Any, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with mcp.Client(server) as client:
            return await ask(client)

    return asyncio.run(asyncio.wait_for(run(), 240))


def _call(retriever: AnyRetriever, name: str, arguments: dict[str, Any]) -> Any:
    from rabtriever_core.integrations.mcp import mcp_server

    return _with_client(mcp_server(retriever), lambda client: client.call_tool(name, arguments))


def test_search_answers_with_typed_documents(retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.mcp import Found

    asked = {"query": QUERY, "k": 4, "filter": {"lang": "de"}, "min_probability": 0.0}
    result = _call(retriever, "search", asked)
    assert not result.is_error
    found = Found.model_validate(result.structured_content)
    answer = retriever.search(QUERY, 4, filter={"lang": "de"})
    assert found.release == answer.release.id
    for document, hit in zip(found.documents, answer, strict=True):
        assert document.document_id == hit.document_id
        assert (document.title, document.text) == (hit.title, hit.text)
        assert document.metadata == hit.metadata
        assert document.probability == pytest.approx(hit.probability)
        assert document.margin == pytest.approx(hit.margin)
        assert document.fits is True


def test_release_says_what_answers(retriever: AnyRetriever) -> None:
    said = _call(retriever, "release", {}).structured_content
    release = retriever.release
    assert (said["id"], said["dataset"]) == (release.id, release.dataset)
    assert said["documents"] == release.count
    assert said["metrics"]["test"]["student"] == pytest.approx(release.metrics["test"]["student"])


def test_an_agent_is_told_what_it_may_ask(retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.mcp import mcp_server

    listed = _with_client(mcp_server(retriever), lambda client: client.list_tools())
    tools = {tool.name: tool for tool in listed.tools}
    assert set(tools) == {"search", "release"}
    assert tools["search"].input_schema["required"] == ["query"]
    assert set(tools["search"].input_schema["properties"]) == {
        "query", "k", "filter", "min_probability", "rerank"
    }  # fmt: skip
    for tool in tools.values():
        assert tool.annotations.read_only_hint is True
        assert tool.output_schema["type"] == "object"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "query"),
        ({"query": "  "}, "pattern"),
        ({"query": "x" * 20_001}, "20000"),
        ({"query": QUERY, "k": 0}, "greater than or equal to 1"),
        ({"query": QUERY, "k": 1000}, "less than or equal to 100"),
        ({"query": QUERY, "min_probability": 2}, "less than or equal to 1"),
        ({"query": QUERY, "filter": {"year": {"newer": 3}}}, "no condition"),
    ],
)
def test_a_wrong_question_is_explained_to_the_agent(
    retriever: AnyRetriever, arguments: dict[str, Any], message: str
) -> None:
    result = _call(retriever, "search", arguments)
    assert result.is_error
    assert message in result.content[0].text


def test_an_agent_starts_it_over_stdio(released: Workspace, retriever: AnyRetriever) -> None:
    module, of = ["-m", "rabtriever_core.integrations.mcp"], [str(released.root)]
    if isinstance(retriever, RemoteRetriever):
        module, of = ["-m", "rabtriever_core.cli", "mcp"], ["--url", retriever.url]
    command = mcp.StdioServerParameters(command=sys.executable, args=[*module, *of], cwd=ROOT)
    transport = mcp.stdio_client(command)
    asked = {"query": QUERY, "k": 2}
    result = _with_client(transport, lambda client: client.call_tool("search", asked))
    documents = result.structured_content["documents"]
    expected = retriever.search(QUERY, 2)
    assert [document["document_id"] for document in documents] == [h.document_id for h in expected]
