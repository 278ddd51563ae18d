"""The same query answered by other releases and by BM25, and the list of releases."""

from fastapi.testclient import TestClient

from rabtriever_core.index.connection import connect
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.serving.answers import Query
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.retriever import Retriever
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import grown, life_dataset


def compare(client: TestClient, *systems: str, **options: object) -> list[dict[str, object]]:
    answer = client.post("/v1/compare", json={"query": "tell 7", "systems": systems} | options)
    assert answer.status_code == 200, answer.text
    return answer.json()["answers"]


def found(answer: dict[str, object]) -> list[tuple[str, float]]:
    return [(hit["document_id"], hit["margin"]) for hit in answer["hits"]]


def test_two_releases_side_by_side_each_answer_as_themselves(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release.id
    expected = {first: [(h.document_id, h.margin) for h in ask(workspace, "tell 7", 4).hits]}
    second = promote(make(salt=1), by="ana").release.id
    expected[second] = [(h.document_id, h.margin) for h in ask(workspace, "tell 7", 4).hits]
    with TestClient(create_app(workspace)) as client:
        old, new = compare(client, first, "served", k=4)
        assert (old["release"], new["release"]) == (first, second)
        assert (found(old), found(new)) == (expected[first], expected[second])
        assert expected[first] != expected[second]
        assert (old["system"], old["reranked"]) == (first, False)
        assert old["milliseconds"] > 0
        # After a rollback the same id is what is served.
        rollback(workspace, by="ana")
        (again,) = compare(client, second, k=4)
        assert found(again) == expected[second]
        (limited,) = compare(client, second, filter={"document_id": ["d1", "d2"]})
        assert {id_ for id_, _ in found(limited)} == {"d1", "d2"}


def test_one_other_release_is_kept_open_and_opened_once(make: Make, student: type) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release.id
    second = promote(make(salt=1), by="ana").release.id
    promote(make(salt=2), by="ana")
    with Retriever.open(workspace) as retriever:
        for asked in (first, first, second, first):
            before = retriever._following._other
            (answer,) = retriever.answer_as(asked, [Query("tell 7")])
            assert answer.release.id == asked
            assert retriever._following._other is not None
            same = before is not None and before.opened.release.id == asked
            assert (retriever._following._other is before) == same
        served = retriever.release.id
        assert retriever.answer_as(served, [Query("tell 7")])[0].release.id == served


def test_bm25_searches_the_served_documents(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release.id
    with TestClient(create_app(workspace)) as client:
        served, lexical = compare(client, "served", "bm25", query="tell 12 tale 11", k=3)
        assert (served["release"], lexical["release"]) == (first, first)
        documents = life_dataset().documents
        scored = Bm25.fit(documents).scores(["tell 12 tale 11"])[0]
        scores = {d.id: score for d, score in zip(documents, scored, strict=True)}
        ranked = sorted(scores, key=lambda id_: (-scores[id_], id_))[:3]
        assert [hit["document_id"] for hit in lexical["hits"]] == ranked
        assert {"d12", "d11"} == set(ranked[:2])
        assert all(hit["probability"] is hit["margin"] is None for hit in lexical["hits"])
        assert lexical["hits"][0]["score"] > lexical["hits"][2]["score"] > 0
        passing = {"document_id": ["d11", "d3"]}
        (only,) = compare(client, "bm25", query="tell 12 tale 11", filter=passing)
        assert [hit["document_id"] for hit in only["hits"]] == ["d11", "d3"]
        (nothing,) = compare(client, "bm25", query="nobody 7000")
        assert nothing["hits"] == []
        # Another release, other documents.
        second = promote(make(salt=1, dataset=grown(life_dataset())), by="ana").release
        client.app.state.service.retriever.refresh()  # type: ignore[attr-defined]
        (other,) = compare(client, "bm25", query="tell 99 tale")
        assert other["release"] == second.id
        assert other["hits"][0]["text"] == "tale 99"


def test_what_is_not_there_is_a_404_that_says_so(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release
    promote(make(salt=1), by="ana")
    with connect(workspace.settings.index, workspace.qdrant) as client_:
        client_.delete_collection(first.collection)
    with TestClient(create_app(workspace)) as client:
        for system, said in (
            (first.id, f"the collection of release {first.id} was removed"),
            ("0099-aaaaaa", "there is no release 0099-aaaaaa"),
        ):
            body = {"query": "tell 7", "systems": ["served", system]}
            answer = client.post("/v1/compare", json=body)
            assert answer.status_code == 404
            assert said in answer.json()["detail"]
            assert str(workspace.root) not in answer.text
        for systems in ([], ["served"] * 3, ["../0001-aaaaaa"], ["bm26"]):
            body = {"query": "tell 7", "systems": systems}
            assert client.post("/v1/compare", json=body).status_code == 422
        # The served one goes on.
        assert client.post("/v1/search", json={"query": "tell 7"}).status_code == 200


def test_releases_are_listed_newest_first(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release
    second = promote(make(salt=1), by="ana").release
    with TestClient(create_app(workspace)) as client:
        said = client.get("/v1/releases").json()
    assert (said["served"], said["feedback"]) == (second.id, True)
    assert [(row["id"], row["number"], row["state"]) for row in said["releases"]] == [
        (second.id, 2, "served"),
        (first.id, 1, "was served"),
    ]
    assert said["releases"][0]["quality"] == {"test": 1.0}
    assert said["releases"][0]["documents"] == second.count
