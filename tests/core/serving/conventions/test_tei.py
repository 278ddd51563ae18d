"""Clients of Text Embeddings Inference: Hugging Face's own and LlamaIndex's."""

import httpx
import numpy as np
from huggingface_hub import InferenceClient
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

from tests.core.serving.conventions.conftest import TEXTS, Address


def post(service: Address, path: str, **body: object) -> httpx.Response:
    return httpx.post(f"{service.url}{path}", json=body, headers=service.headers)


def test_rerank(service: Address) -> None:
    plain = post(service, "/rerank", query="tell 7", texts=TEXTS, truncate=True).json()
    assert [each["index"] for each in plain] == [1, 2, 0]
    assert all(each.keys() == {"index", "score"} for each in plain)
    raw = post(service, "/rerank", query="x", texts=TEXTS, raw_scores=True, return_text=True).json()
    assert [(each["score"], each["text"]) for each in raw] == [
        (13.0, "a longer tale"),
        (7.0, "tell me"),
        (4.0, "tale"),
    ]
    judged = post(
        service, "/v1/rerank", query="x", documents=[{"id": "a", "text": "a longer tale"}]
    ).json()
    assert judged["results"][0]["probability"] == plain[0]["score"]
    figures = httpx.get(f"{service.url}/metrics", headers=service.headers).text
    assert 'rabtriever_requests_total{route="/rerank",status="200"} 2.0' in figures


def test_llama_indexs_postprocessor(service: Address) -> None:
    rerank = TextEmbeddingInference(
        base_url=service.url, auth_token=f"Bearer {service.key}", top_n=2
    )
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in TEXTS]
    found = rerank.postprocess_nodes(nodes, query_str="tell 7")
    assert [node.text for node in found] == ["a longer tale", "tell me"]


def test_hugging_faces_client_embeds_queries(service: Address) -> None:
    client = InferenceClient(model=f"{service.url}/embed", token=service.key)
    vectors = client.feature_extraction("tell 7")
    expected = np.array(post(service, "/v1/embed", queries=["tell 7"]).json()["vectors"])
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected / lengths, rtol=1e-5)
    as_it_is = client.feature_extraction("tell 7", normalize=False)
    np.testing.assert_allclose(as_it_is, expected, rtol=1e-6)


def test_documents_are_not_encoded_and_keys_are_asked_for(service: Address) -> None:
    answer = post(service, "/embed", inputs="a tale", prompt_name="document")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "prompt_name"])
    for path in ("/rerank", "/embed"):
        assert httpx.post(f"{service.url}{path}", json={}).status_code == 401
