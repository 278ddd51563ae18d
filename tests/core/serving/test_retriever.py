"""The client of applications."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import models

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import (
    ConfigError,
    FilterError,
    IndexMismatchError,
    IndexUnavailableError,
    ReleaseError,
    UnknownDocumentError,
)
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.promotion import promote, restore
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_release
from rabtriever_core.releases.serving import OpenRelease, open_release
from rabtriever_core.releases.store import part_folder
from rabtriever_core.serving import following
from rabtriever_core.serving.answers import Answer, Query
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import life_dataset
from tests.faults.injection import free_port, qdrant


def test_hits_carry_calibrated_probabilities(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    answer = ask(workspace, "tell 7", 5)
    assert [hit.margin for hit in answer.hits] == sorted(h.margin for h in answer.hits)[::-1]
    for hit in answer.hits:
        expected = float(answer.calibration.probabilities(hit.margin))
        assert hit.probability == pytest.approx(expected)
    best = answer.hits[0].probability
    assert ask(workspace, "tell 7", 2, min_probability=best).hits[0].fits is True
    assert not any(hit.fits for hit in ask(workspace, "tell 7", 5, min_probability=1.0).hits)


def test_each_query_of_a_batch_has_its_own_demands(make: Make) -> None:
    dataset = life_dataset()
    told = tuple(
        replace(document, metadata={"even": n % 2 == 0, "n": n})
        for n, document in enumerate(dataset.documents)
    )
    workspace = make(dataset=replace(dataset, documents=told))
    promote(workspace, by="ana")
    texts, depths, least = ["tell 7", "tell 8", "tell 9"], [2, 5, 1], [None, 0.0, 1.0]
    filters = [None, {"even": True}, models.Filter(must_not=[])]
    with connect(workspace.settings.index, workspace.qdrant) as client:
        opened = open_release(workspace, served_release(client, workspace))
        (best,) = opened.search(client, texts[:1], 24)
        found = opened.search(client, texts, depths, least, filters)
        assert [len(hits) for hits in found] == depths
        assert found[0] == best[:2]
        assert found[0][0].metadata == {"even": False, "n": 7}
        assert all(hit.metadata["even"] and hit.fits for hit in found[1])
        assert not found[2][0].fits
        demands = zip(texts, depths, least, filters, strict=True)
        assert [opened.search(client, [t], k, p, f)[0] for t, k, p, f in demands] == found
        for hits in opened.search(client, texts, 24, None, {"n": {"lt": 5}}):
            assert sorted(hit.document_id for hit in hits) == [f"d{n}" for n in range(5)]
        with pytest.raises(ValueError, match="2 values of min_probability for 3 queries"):
            opened.search(client, texts, 5, [0.5, 0.5])


def test_a_filter_may_leave_nothing(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    two = ask(workspace, "tell 7", 5, filter={"document_id": ["d7", "d3"]}).hits
    assert [hit.document_id for hit in two] == ["d7", "d3"]
    assert ask(workspace, "tell 7", 5, filter={"lang": "de"}).hits == []
    with pytest.raises(FilterError, match="'lang'"):
        ask(workspace, "tell 7", 5, filter={"lang": {"like": "d"}})


def test_settings_of_another_build_do_not_reach_the_served_one(make: Make) -> None:
    """The tower is searched as it was built, whatever params.yaml says by now."""
    workspace = make()
    promote(workspace, by="ana")
    before = ask(workspace, "tell 7", 5).hits
    changed = make(index={"gauge": {"method": "pca", "dimensions": 3}})
    assert ask(changed, "tell 7", 5).hits == before


def test_a_short_gauge_is_served_and_restored(make: Make) -> None:
    workspace = make(index={"gauge": {"method": "pca", "dimensions": 9}}, gates={"max_loss": 1})
    release = promote(workspace, by="ana").release
    assert release.dimension < 16
    assert ask(workspace, "tell 7", 24).release.id == release.id


def test_a_batch_is_its_queries_and_async_is_sync(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    texts = [f"tell {n}" for n in range(12)]

    async def at_once(retriever: Retriever) -> tuple[list[Answer], list[Answer]]:
        singles = await asyncio.gather(*(retriever.asearch(text, 4) for text in texts))
        return singles, await retriever.asearch_batch(texts, 4)

    with Retriever.open(workspace) as retriever:
        one_by_one = [retriever.search(text, 4) for text in texts]
        assert retriever.search_batch(texts, 4) == one_by_one
        assert retriever.search_batch([]) == []
        assert asyncio.run(at_once(retriever)) == (one_by_one, one_by_one)
        with ThreadPoolExecutor(8) as pool:
            threads = list(pool.map(lambda text: retriever.search(text, 4), texts * 5))
        assert threads == one_by_one * 5
    answer = one_by_one[7]
    assert (len(answer), answer[0].document_id, [*answer]) == (4, "d7", answer.hits)
    assert [hit.document_id for hit in answer[1:3]] == [h.document_id for h in answer.hits[1:3]]


def test_a_filter_is_the_same_for_one_and_many(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    wanted = {"document_id": ["d1", "d9", "d4"]}
    with Retriever.open(workspace) as retriever:
        alone = retriever.search("tell 4", 2, filter=wanted)
        assert alone[0].document_id == "d4"
        mixed = retriever.answer([Query("tell 4", 2, wanted), Query("tell 4", 2)])
        assert mixed[0] == alone
        assert mixed[1].hits[0] == alone.hits[0]


def test_the_folder_of_local_mode_is_free_between_looks(make: Make) -> None:
    """A retraining can have it for as long as it likes; queries go on, and then see the outcome."""
    workspace = make()
    first = promote(workspace, by="ana").release
    with Retriever.open(workspace, refresh_seconds=0.01) as retriever:
        with connect(workspace.settings.index, workspace.qdrant, lock_seconds=0.1):
            assert retriever.search("tell 5").release == first
        second = promote(make(salt=1), by="ana").release
        with connect(workspace.settings.index, workspace.qdrant):
            retriever._following.source._lock_seconds = 0.05  # type: ignore[attr-defined]
            time.sleep(0.02)
            assert retriever.search("tell 5").release == first
            assert "locked" in str(retriever.problem)
        time.sleep(0.02)
        answer = retriever.search("tell 5")
        assert (answer.release, answer[0].document_id) == (second, "d5")
        assert retriever.problem is None


def test_a_release_that_is_not_whole_here_does_not_replace_the_one_before(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release
    with Retriever.open(workspace, refresh_seconds=0.01) as retriever:
        second = promote(make(salt=1), by="ana").release
        shutil.rmtree(part_folder(workspace, second.parts["teacher"]))
        time.sleep(0.02)
        assert retriever.search("tell 5").release == first
        assert "teacher missing or damaged" in str(retriever.problem)
        with pytest.raises(ReleaseError, match="teacher missing or damaged"):
            Retriever.open(workspace)
        restore(workspace, by="eve")
        time.sleep(0.02)
        assert retriever.search("tell 5").release.parts == second.parts


def test_models_are_opened_once_per_release(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def count(workspace: Workspace, release: Release) -> OpenRelease:
        opened.append(release.id)
        return open_release(workspace, release)

    monkeypatch.setattr(following, "open_release", count)
    workspace = make()
    first = promote(workspace, by="ana").release.id
    with (
        Retriever.open(workspace, refresh_seconds=1e-6) as retriever,
        ThreadPoolExecutor(4) as pool,
    ):
        assert {a.release.id for a in pool.map(retriever.search, ["tell 7"] * 20)} == {first}
        second = promote(make(salt=1), by="ana").release.id
        assert {a.release.id for a in pool.map(retriever.search, ["tell 7"] * 20)} <= {
            first,
            second,
        }
        assert retriever.refresh().id == second
    assert opened == [first, second]


def test_what_cannot_be_asked(make: Make) -> None:
    workspace = make()
    with pytest.raises(IndexMismatchError, match="serves nothing under 'demo'"):
        Retriever.open(workspace)
    promote(workspace, by="ana")
    with Retriever.open(workspace) as retriever:
        for query, options in (
            (" \n", {}),
            ("tell 1", {"k": 0}),
            ("tell 1", {"min_probability": 1.1}),
            ("tell 1", {"rerank": "always"}),
        ):
            with pytest.raises(ValueError, match="must"):
                retriever.search(query, **options)
    with pytest.raises(ConfigError, match=r"no .*params\.yaml"):
        Retriever.open(workspace.root / "nowhere")


def test_closed_is_closed(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    with Retriever.open(workspace) as retriever:
        assert retriever.search("tell 1")
    asked = [
        lambda: retriever.search("tell 1"),
        lambda: retriever.embed(["tell 1"]),
        lambda: retriever.release,
        retriever.refresh,
    ]
    for ask_again in asked:
        with pytest.raises(IndexUnavailableError, match="this retriever is closed"):
            ask_again()


def test_the_workspace_is_found_by_the_environment(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make()
    (workspace.root / "params.yaml").write_text("index: {probe_queries: 2}")
    release = promote(workspace, by="ana").release
    monkeypatch.setenv("RABTRIEVER_WORKSPACE", str(workspace.root))
    with Retriever.open() as retriever:
        assert retriever.release == release


def test_vectors_for_another_client(make: Make) -> None:
    """What an application in another language does: a plain search, and its margins from scores."""
    workspace = make()
    promote(workspace, by="ana")
    texts = ["tell 3", "tell 14"]
    with Retriever.open(workspace) as retriever:
        embedded = retriever.embed(texts)
        expected = retriever.search_batch(texts, 6)
    with connect(workspace.settings.index, workspace.qdrant) as client:
        for row, answer in enumerate(expected):
            points = client.query_points(
                embedded.release.collection,
                query=embedded.vectors[row],
                limit=6,
                search_params=models.SearchParams(exact=True),
            ).points
            assert [point.payload["document_id"] for point in points] == [
                hit.document_id for hit in answer
            ]
            margins = [p.score * embedded.scales[row] + embedded.offsets[row] for p in points]
            assert margins == pytest.approx([hit.margin for hit in answer])


def test_the_teacher_puts_the_first_in_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []

    def margins(_: OpenRelease, query: str, documents: Sequence[Document]) -> list[float]:
        read.append([document.id for document in documents])
        return [float(int(document.id[1:]) // 4) for document in documents]

    monkeypatch.setattr(OpenRelease, "teacher_margins", margins)
    workspace = make(serving={"rerank_depth": 6, "rerank_below": 0.5})
    promote(workspace, by="ana")
    with Retriever.open(workspace) as retriever:
        plain = retriever.search("tell 7", 9)
        assert not plain.reranked and plain[0].teacher_margin is None
        ranked = retriever.search("tell 7", 9, rerank=True)
        assert ranked.reranked
        first, rest = ranked[:6], ranked[6:]
        assert read == [[hit.document_id for hit in plain[:6]]]
        assert rest == plain[6:]
        order = sorted(plain[:6], key=lambda h: (-(int(h.document_id[1:]) // 4), h.document_id))
        assert [hit.document_id for hit in first] == [hit.document_id for hit in order]
        assert [hit.teacher_margin for hit in first] == [
            float(int(hit.document_id[1:]) // 4) for hit in first
        ]
        assert retriever.search("tell 7", 2, rerank=True).hits == first[:2]
        sure = plain[0].probability >= 0.5
        assert retriever.search("tell 7", 2, rerank="auto").reranked is not sure
        given = retriever.rerank("tell 7", ["d3", Document("e9", "another"), "d8"])
        assert [(document.id, margin) for document, margin in given.results] == [
            ("d8", 2.0),
            ("e9", 2.0),
            ("d3", 0.0),
        ]
        assert given.results[2][0] == Document("d3", "tale 3")
        with pytest.raises(UnknownDocumentError, match=r"1 of 2 .*'x'"):
            retriever.rerank("tell 7", ["d3", "x"])


def test_on_a_server_that_goes_and_comes(make: Make, tmp_path: Path) -> None:
    built = make()
    first = promote(built, by="ana").release
    storage, port = tmp_path / "storage", free_port()
    shutil.copytree(built.qdrant, storage)
    (storage / ".rabtriever.lock").unlink()
    settings = built.settings.model_copy(
        update={"index": IndexConfig(url=f"http://127.0.0.1:{port}", probe_queries=2)}
    )
    workspace = Workspace(built.root, settings)
    with pytest.raises(IndexUnavailableError, match="cannot be reached"):
        Retriever.open(workspace)
    with qdrant(storage, port):
        retriever = Retriever.open(workspace, refresh_seconds=0.01)
        expected = retriever.search("tell 9", 3)
        assert (expected.release, expected[0].document_id) == (first, "d9")
    with retriever:
        for _ in range(3):
            with pytest.raises(IndexUnavailableError, match="cannot be reached"):
                retriever.search("tell 9", 3)
        with qdrant(storage, port):
            time.sleep(0.6)
            assert retriever.search("tell 9", 3) == expected
            with connect(workspace.settings.index, workspace.qdrant) as client:
                client.delete_collection(first.collection)
            with pytest.raises(IndexMismatchError):
                retriever.search("tell 9", 3)


def test_importing_the_client_is_light() -> None:
    program = (
        "import sys; from rabtriever_core import Retriever\n"
        "heavy = {'torch', 'transformers', 'qdrant_client', 'pandas', 'scipy', 'dagster',"
        " 'matplotlib', 'great_expectations'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert finished.stdout.strip() == "[]"
