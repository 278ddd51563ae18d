"""LangChain asks the served release: real calls through its retriever interface."""

import asyncio

import pytest

from rabtriever_core.serving.any_retriever import AnyRetriever
from tests.core.integrations.released import NIGHT

pytest.importorskip("langchain_core")

QUERY = "He lied again and I am furious. It is two in the morning."


def test_documents_are_the_hits(retriever: AnyRetriever) -> None:
    from langchain_core.documents import Document

    from rabtriever_core.integrations.langchain import RabtrieverRetriever

    answer = retriever.search(QUERY, 12)
    documents = RabtrieverRetriever(retriever=retriever, k=12).invoke(QUERY)
    assert all(isinstance(document, Document) for document in documents)
    assert [d.id for d in documents] == [hit.document_id for hit in answer]
    for document, hit in zip(documents, answer, strict=True):
        assert document.page_content == hit.text
        assert document.metadata == {
            **hit.metadata,
            "document_id": hit.document_id,
            "title": hit.title,
            "margin": hit.margin,
            "probability": hit.probability,
            "fits": hit.fits,
            "release": answer.release.id,
        }
    assert sum(document.metadata.items() >= NIGHT.items() for document in documents) == 4


def test_async_batches_and_chains_say_the_same(retriever: AnyRetriever) -> None:
    from langchain_core.runnables import RunnableLambda

    from rabtriever_core.integrations.langchain import RabtrieverRetriever

    found = RabtrieverRetriever(retriever=retriever, k=2)
    documents = found.invoke(QUERY)
    assert asyncio.run(found.ainvoke(QUERY)) == documents
    assert found.batch([QUERY, QUERY]) == [documents, documents]
    chain = found | RunnableLambda(lambda documents: [d.id for d in documents])
    assert chain.invoke(QUERY) == [document.id for document in documents]


def test_options_of_the_search_reach_it(retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.langchain import RabtrieverRetriever

    found = RabtrieverRetriever(retriever=retriever, k=9, filter={"lang": "de"}, rerank=True)
    documents = found.invoke(QUERY)
    assert len(documents) == 4
    assert all(document.metadata["lang"] == "de" for document in documents)
    margins = [document.metadata["teacher_margin"] for document in documents]
    assert margins == sorted(margins, reverse=True)
    assert len(found.invoke(QUERY, k=1)) == 1
    assert len(found.invoke(QUERY, filter=None)) == 9


def test_what_does_not_fit_can_be_left_out(retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.langchain import RabtrieverRetriever

    for least, count in ((1.0, 0), (0.0, 5)):
        found = RabtrieverRetriever(retriever=retriever, min_probability=least, only_fitting=True)
        assert len(found.invoke(QUERY)) == count
    kept = RabtrieverRetriever(retriever=retriever, min_probability=1.0).invoke(QUERY)
    assert [document.metadata["fits"] for document in kept] == [False] * 5
