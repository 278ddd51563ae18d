"""OpenAI's and LangChain's clients get the query vectors that the collection is searched with."""

import httpx
import numpy as np
import openai
import pytest
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from rabtriever_core.index.connection import connect
from tests.core.serving.conventions.conftest import Address


def client(service: Address) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0)


def test_the_vectors_search_the_collection(service: Address) -> None:
    embeddings = client(service).embeddings
    asked = ["tell 7", "tell 12"]
    expected = httpx.post(
        f"{service.url}/v1/embed", json={"queries": asked}, headers=service.headers
    ).json()
    packed = embeddings.create(input=asked, model="rabtriever-query")  # base64 unless told
    plain = embeddings.create(input=asked, model="rabtriever-query", encoding_format="float")
    for answer in (packed, plain):
        vectors = [each.embedding for each in answer.data]
        np.testing.assert_allclose(vectors, expected["vectors"], rtol=1e-6)
        assert answer.to_dict()["collection"] == expected["collection"]
    workspace = service.workspace
    with connect(workspace.settings.index, workspace.qdrant) as qdrant:
        found = qdrant.query_points(expected["collection"], query=packed.data[1].embedding, limit=1)
    payload = found.points[0].payload
    assert payload is not None
    assert payload["document_id"] == "d12"
    one = embeddings.create(input="tell 7", model="rabtriever-query", dimensions=16)
    assert len(one.data) == 1


def test_langchain_sends_text_when_told_to(service: Address) -> None:
    embeddings = OpenAIEmbeddings(
        model="rabtriever-query",
        base_url=f"{service.url}/v1",
        api_key=SecretStr(service.key),
        check_embedding_ctx_length=False,
    )
    assert len(embeddings.embed_query("tell 7")) == 16


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": [1, 2, 3]}, "check_embedding_ctx_length=False"),
        ({"input": [[1, 2], [3]]}, "check_embedding_ctx_length=False"),
        ({"model": "text-embedding-3-small"}, "the one model here is 'rabtriever-query'"),
        ({"dimensions": 8}, "the vectors have 16 dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"input": ""}, "at least 1 character"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    service: Address, changes: dict[str, object], said: str
) -> None:
    body = {"input": "tell 7", "model": "rabtriever-query"} | changes
    answer = httpx.post(f"{service.url}/v1/embeddings", json=body, headers=service.headers)
    assert answer.status_code == 422
    assert said in answer.text
    with pytest.raises(openai.UnprocessableEntityError):
        client(service).post("/embeddings", body=body, cast_to=object)
