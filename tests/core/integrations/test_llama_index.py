"""LlamaIndex asks the served release: real calls through its retriever interface."""

import asyncio

import pytest

from rabtriever_core.serving.any_retriever import AnyRetriever

pytest.importorskip("llama_index.core")

QUERY = "He lied again and I am furious. It is two in the morning."


def test_nodes_are_the_hits(retriever: AnyRetriever) -> None:
    from llama_index.core.schema import MetadataMode, QueryBundle

    from rabtriever_core.integrations.llama_index import RabtrieverRetriever

    answer = retriever.search(QUERY, 4)
    found = RabtrieverRetriever(retriever, k=4)
    nodes = found.retrieve(QUERY)
    assert [node.node_id for node in nodes] == [hit.document_id for hit in answer]
    for node, hit in zip(nodes, answer, strict=True):
        assert node.score == hit.probability
        assert node.text == hit.text
        assert node.metadata["margin"] == hit.margin
        assert node.metadata["fits"] == hit.fits
        assert node.metadata["release"] == answer.release.id
        read = node.node.get_content(MetadataMode.LLM)
        assert hit.title in read
        assert "margin" not in read
    for again in (
        asyncio.run(found.aretrieve(QUERY)),
        found.retrieve(QueryBundle(QUERY)),
    ):
        assert [node.model_dump() for node in again] == [node.model_dump() for node in nodes]


def test_options_of_the_search_reach_it(retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.llama_index import RabtrieverRetriever

    nodes = RabtrieverRetriever(retriever, k=9, filter={"year": {"gte": 2021}}).retrieve(QUERY)
    assert [node.metadata["lang"] for node in nodes] == ["de"] * 4
    reranked = RabtrieverRetriever(retriever, k=4, rerank=True).retrieve(QUERY)
    margins = [node.metadata["teacher_margin"] for node in reranked]
    assert margins == sorted(margins, reverse=True)
    strict = RabtrieverRetriever(retriever, min_probability=1.0, only_fitting=True)
    assert strict.retrieve(QUERY) == []


def test_a_query_engine_reads_it(retriever: AnyRetriever, monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_index.core import Settings
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    from rabtriever_core.integrations.llama_index import RabtrieverRetriever

    # It repeats the prompt it is given.
    monkeypatch.setattr(Settings, "_llm", MockLLM())
    said = RetrieverQueryEngine.from_args(RabtrieverRetriever(retriever, k=2)).query(QUERY)
    expected = retriever.search(QUERY, 2)
    assert [node.node_id for node in said.source_nodes] == [hit.document_id for hit in expected]
    for hit in expected:
        assert hit.text in str(said)
