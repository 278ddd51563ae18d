"""Cohere's, LangChain's and LlamaIndex's own clients rerank with us; our own shape stays."""

from typing import Any

import cohere
import httpx
import pytest
from langchain_cohere import CohereRerank as LangChainRerank
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank as LlamaIndexRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank

from tests.core.serving.conventions.conftest import TEXTS, Address, ranked

NODES = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in TEXTS]


def test_coheres_client(service: Address) -> None:
    second = cohere.ClientV2(service.key, base_url=service.url)
    answer = second.rerank(model="rerank-v3.5", query="tell 7", documents=TEXTS, top_n=2)
    assert ranked(answer.results) == [1, 2]
    first = cohere.Client(service.key, base_url=service.url)
    asked: Any = [TEXTS[0], {"text": TEXTS[1], "lang": "en"}, {"text": "me", "title": "tell"}]
    told = first.rerank(query="tell 7", documents=asked, return_documents=True, model="any")
    assert ranked(told.results) == [1, 2, 0]
    assert [each.document and each.document.text for each in told.results] == [
        "a longer tale",
        "me",
        "tale",
    ]
    with pytest.raises(cohere.UnauthorizedError):
        cohere.ClientV2("rbt_wrong", base_url=service.url).rerank(
            model="m", query="tell 7", documents=TEXTS
        )
    with pytest.raises(cohere.UnprocessableEntityError, match="documents"):
        second.rerank(model="m", query="tell 7", documents=[])


def test_langchains_compressor(service: Address) -> None:
    compressor = LangChainRerank(
        model="rabtriever", base_url=service.url, cohere_api_key=service.key, top_n=2
    )
    found = compressor.compress_documents([Document(text) for text in TEXTS], "tell 7")
    assert [document.page_content for document in found] == ["a longer tale", "tell me"]


def test_llama_indexs_postprocessors(service: Address) -> None:
    for rerank in (
        LlamaIndexRerank(top_n=2, model="m", api_key=service.key, base_url=service.url),
        JinaRerank(top_n=2, model="m", api_key=service.key, base_url=f"{service.url}/v1"),
    ):
        found = rerank.postprocess_nodes(NODES, query_str="tell 7")
        assert [node.text for node in found] == ["a longer tale", "tell me"]


OWN = {"query": "tell 7", "documents": [{"id": "b", "text": "tale"}, {"id": "a", "text": "tell"}]}


def test_our_own_shape_is_told_from_theirs(service: Address) -> None:
    def rerank(body: dict[str, Any], path: str = "/v1/rerank") -> httpx.Response:
        return httpx.post(f"{service.url}{path}", json=body, headers=service.headers)

    results = rerank(OWN).json()["results"]
    assert [(each["document_id"], each["margin"]) for each in results] == [("a", 4.0), ("b", 4.0)]
    assert len(rerank({"query": "x", "document_ids": ["d3", "d12"]}).json()["results"]) == 2
    theirs = rerank(OWN | {"model": "m"}).json()["results"]
    assert [each["index"] for each in theirs] == [0, 1]  # equal ones as they were sent
    # What is wrong is said of the shape that was meant, by its place in the body.
    for body, place in (
        ({"query": "x"}, []),
        ({"query": "x", "documents": [{"id": "a"}]}, ["documents", 0, "text"]),
        (OWN | {"limit": 3}, ["limit"]),
        (OWN | {"documents": []}, ["documents"]),
        ({"query": "x", "documents": ["a"], "top_n": -1}, ["top_n"]),
        ({"query": "x", "document_ids": ["d3"], "model": "m"}, ["model"]),
    ):
        answer = rerank(body)
        assert answer.status_code == 422, body
        assert answer.json()["detail"][0]["loc"] == ["body", *place]
    # Its own schema of version 2 knows no ids.
    assert ranked(rerank(OWN, "/v2/rerank").json()["results"]) == [0, 1]
