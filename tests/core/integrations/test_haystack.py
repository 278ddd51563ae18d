"""Haystack asks the served release: a real pipeline, saved and loaded, with Haystack's filters."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabtriever_core.errors import FilterError
from rabtriever_core.integrations.haystack_filters import search_filter
from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.core.integrations.released import titled_dataset

QUERY = "He lied again and I am furious. It is two in the morning."


@pytest.fixture(autouse=True, scope="module")
def no_telemetry() -> Any:
    """Haystack tells its makers of pipelines unless it is told not to before it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAYSTACK_TELEMETRY_ENABLED", "false")
        pytest.importorskip("haystack")
        yield


def test_documents_are_the_hits(retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.haystack import RabtrieverRetriever

    answer = retriever.search(QUERY, 4)
    component = RabtrieverRetriever(retriever, top_k=4)
    documents = component.run(QUERY)["documents"]
    assert [document.id for document in documents] == [hit.document_id for hit in answer]
    for document, hit in zip(documents, answer, strict=True):
        assert (document.content, document.score) == (hit.text, hit.probability)
        assert document.meta["margin"] == hit.margin
        assert document.meta["title"] == hit.title
        assert document.meta["release"] == answer.release.id
    assert asyncio.run(component.run_async(QUERY)) == {"documents": documents}
    assert len(component.run(QUERY, top_k=1)["documents"]) == 1
    strict = RabtrieverRetriever(retriever, min_probability=1.0, only_fitting=True)
    assert strict.run(QUERY) == {"documents": []}


def test_a_saved_pipeline_asks_the_service_again(url: str, retriever: AnyRetriever) -> None:
    from rabtriever_core.integrations.haystack import RabtrieverRetriever

    with Retriever.connect(url) as remote:
        kept = RabtrieverRetriever(remote, top_k=3).to_dict()["init_parameters"]
    assert (kept["url"], kept["workspace"]) == (url, None)
    found = RabtrieverRetriever(**kept).run(QUERY)["documents"]
    assert [document.id for document in found] == [
        hit.document_id for hit in retriever.search(QUERY, 3)
    ]


def test_a_saved_pipeline_opens_the_release_again(released: Workspace) -> None:
    from haystack import Pipeline
    from haystack.components.joiners import DocumentJoiner

    from rabtriever_core.integrations.haystack import RabtrieverRetriever

    pipeline = Pipeline()
    component = RabtrieverRetriever(workspace=str(released.root), top_k=3, filters={"lang": "de"})
    pipeline.add_component("retriever", component)
    pipeline.add_component("joiner", DocumentJoiner())
    pipeline.connect("retriever.documents", "joiner.documents")
    asked = {"retriever": {"query": QUERY}}
    documents = pipeline.run(asked)["joiner"]["documents"]
    assert [document.meta["lang"] for document in documents] == ["de"] * 3
    component.close()
    ours = ["rabtriever_core.integrations.haystack"]
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=ours)
    assert loaded.run(asked)["joiner"]["documents"] == documents
    loaded.get_component("retriever").close()


LANG = st.sampled_from(["de", "en", None])
YEAR = st.sampled_from([2020, 2021, 2022])
_LEAVES = st.one_of(
    st.builds(
        lambda operator, value: {"field": "meta.lang", "operator": operator, "value": value},
        st.sampled_from(["==", "!="]),
        LANG,
    ),
    st.builds(
        lambda operator, value: {"field": "meta.year", "operator": operator, "value": value},
        st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
        YEAR,
    ),
    st.builds(
        lambda operator, values: {"field": "meta.year", "operator": operator, "value": values},
        st.sampled_from(["in", "not in"]),
        st.lists(YEAR, min_size=1),
    ),
)
FILTERS = st.builds(
    lambda operator, conditions: {"operator": operator, "conditions": conditions},
    st.sampled_from(["AND", "OR", "NOT"]),
    st.lists(_LEAVES, min_size=1, max_size=3),
)


@given(filters=st.one_of(_LEAVES, FILTERS))
def test_filters_find_what_haystack_finds(retriever: AnyRetriever, filters: dict[str, Any]) -> None:
    from haystack import Document
    from haystack.utils.filters import document_matches_filter

    from rabtriever_core.integrations.haystack import RabtrieverRetriever

    documents = titled_dataset().documents
    expected = {
        document.id
        for document in documents
        if document_matches_filter(filters, Document(content="x", meta=dict(document.metadata)))
    }
    component = RabtrieverRetriever(retriever, top_k=len(documents))
    found = component.run(QUERY, filters=filters)["documents"]
    assert {document.id for document in found} == expected


def test_ids_are_a_field_of_haystack(retriever: AnyRetriever) -> None:
    conditions = {"field": "id", "operator": "in", "value": ["rest-work", "no-such"]}
    answer = retriever.search(QUERY, 9, filter=search_filter(conditions))
    assert [hit.document_id for hit in answer] == ["rest-work"]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"operator": "XOR", "conditions": [{}]}, "no part of a filter"),
        ({"operator": "AND", "conditions": []}, "no part of a filter"),
        ({"operator": "AND", "conditions": ["lang"]}, "an object is expected"),
        ({"operator": "AND", "conditions": [{"field": "meta.a"}]}, "no 'operator'"),
        ({"field": "meta.a", "operator": "=="}, "no 'value'"),
        ({"field": "meta.a", "operator": "~", "value": 1}, "unknown operator '~'"),
        ({"field": "meta.a", "operator": "in", "value": 1}, "do not go together"),
        ({"field": "meta.a", "operator": "==", "value": [1]}, "do not go together"),
        ({"field": "meta.a", "operator": ">", "value": "x"}, "takes a number"),
    ],
)
def test_what_is_no_filter_is_refused(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(FilterError, match=message):
        search_filter(filters)


def test_a_filter_without_end_is_refused() -> None:
    filters: dict[str, Any] = {"field": "meta.a", "operator": "==", "value": 1}
    for _ in range(12):
        filters = {"operator": "NOT", "conditions": [filters]}
    with pytest.raises(FilterError, match="nested deeper"):
        search_filter(filters)
