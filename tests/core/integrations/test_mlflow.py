"""MLflow's own server is told of releases, once each, and its model answers as we do."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import ConfigError, IndexMismatchError, TrackingError
from rabtriever_core.releases import store
from rabtriever_core.releases.promotion import promote, restore, rollback
from rabtriever_core.releases.record import read_releases
from rabtriever_core.releases.store import part_folder
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from tests.core.integrations.mlflow_server import mlflow_server
from tests.core.integrations.released import release_small
from tests.core.releases.conftest import quick_dvc
from tests.core.releases.life import report
from tests.documentation.blocks import DOCS, blocks
from tests.faults.injection import qdrant

mlflow = pytest.importorskip("mlflow")

PAGE = DOCS / "how-to" / "tracking.md"
QUERIES = ["I am worn out", "He lied to me; I shout at people"]


def with_settings(workspace: Workspace, **sections: dict[str, Any]) -> Workspace:
    values = workspace.settings.model_dump() | sections
    return replace(workspace, settings=Settings.model_validate(values))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow") / "server") as running:
        yield running


@pytest.fixture
def told(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, ready_graph: None
) -> Workspace:
    """A workspace with a release, set to tell that server."""
    monkeypatch.setattr(store, "run_dvc", quick_dvc)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return with_settings(release_small(tmp_path / "work"), tracking={"mlflow": address})


def test_the_life_of_a_model(
    told: Workspace,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rabtriever_core.integrations.mlflow import REFUSED, RELEASE, tell_mlflow

    client = mlflow.MlflowClient(address)

    def served() -> str:
        return str(client.get_model_version_by_alias("small", "served").tags[RELEASE])

    # A process that was killed left a run that nobody finished.
    experiment = client.create_experiment("small")
    (first,) = (path.stem for path in (told.root / "releases").glob("0001-*.json"))
    client.create_run(experiment, tags={RELEASE: first})
    found = tell_mlflow(told)
    assert (found.runs, found.versions, found.served) == ([first], {first: "1"}, first)
    assert served() == first
    assert not capsys.readouterr().out, "where --json prints one value"
    again = tell_mlflow(told)
    assert (again.runs, again.versions, again.served) == ([], {}, first)

    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.data.params["dataset.name"] == "small"
    assert 0 < run.data.metrics["test/student/MRR at 10"] <= 1
    assert run.data.tags["part.student"].endswith(".dir")
    assert run.data.tags["gate.teacher_above_floor"].startswith(("passed: ", "FAILED: "))
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {
        *("release.json", "report", "model"),
    }
    reported = {file.path for file in client.list_artifacts(run.info.run_id, "report")}
    assert "report/benchmark.json" in reported

    other = with_settings(told, calibration={"method": "temperature"}, gates={"teacher_mrr": 0.9})
    run_stage(other, "calibration")
    report(other, read_dataset(told.dataset_folder), ms_p95=2.0)
    refused = promote(other, by="nightly")
    assert refused.decision == "refused"
    second = refused.release.id
    found = tell_mlflow(other)
    assert (found.runs, found.versions, served()) == ([second], {}, first)
    promote(other, second, by="ana", override="it is a test")
    assert (tell_mlflow(other).versions, served()) == ({second: "2"}, second)
    tags = client.get_model_version("small", "2").tags
    assert tags["override"] == "ana: it is a test"
    rollback(other, first, by="ana")
    assert (tell_mlflow(other).versions, served()) == ({}, first)

    # It answers as the release does, and says where it looks for its documents.
    model = mlflow.pyfunc.load_model("models:/small@served")
    answers = model.predict(pd.DataFrame({"query": QUERIES}), params={"k": 3})
    with Retriever.open(told) as retriever:
        for query, ours in zip(QUERIES, retriever.search_batch(QUERIES, 3), strict=True):
            theirs = answers[answers["query"] == query]
            assert theirs["rank"].tolist() == [1, 2, 3]
            assert theirs["document_id"].tolist() == [hit.document_id for hit in ours]
            assert theirs["margin"].tolist() == pytest.approx(
                [hit.margin for hit in ours], abs=1e-3
            )
            assert theirs["probability"].tolist() == pytest.approx(
                [hit.probability for hit in ours], abs=1e-3
            )
    (printed,) = (block.text for block in blocks(PAGE) if block.section == "Ask the model")
    names: dict[str, Any] = {}
    exec(printed.replace("models:/demo@", "models:/small@"), names)  # noqa: S102
    assert list(names["hits"]["rank"]) == [1, 2, 3]

    (told.root / "qdrant").rename(told.root / "elsewhere")
    with pytest.raises(IndexMismatchError, match="set QDRANT_URL to a server"):
        mlflow.pyfunc.load_model("models:/small@served")
    (told.root / "elsewhere").rename(told.root / "qdrant")

    # Made on another machine, whose files are not here: that one tells, this one goes on.
    client.delete_registered_model("small")
    shutil.move(
        folder := part_folder(told, read_releases(told)[second].parts["calibration"]), tmp_path
    )
    assert tell_mlflow(other).versions == {first: "1"}
    shutil.move(tmp_path / folder.name, folder)

    # One that has no model is told once, and nothing is served under its name.
    def no_model(*_: object, **__: object) -> None:
        from rabtriever_core.errors import ModelError

        raise ModelError("the tokenizer has no fast form")

    monkeypatch.setattr("rabtriever_core.integrations.mlflow.save_model", no_model)
    client.delete_registered_model("small")
    assert tell_mlflow(other).served is None
    (run, *_) = client.search_runs([experiment], f"tags.`{RELEASE}` = '{first}'")
    assert run.data.tags[REFUSED] == "the tokenizer has no fast form"


def test_it_asks_the_server_that_has_its_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready_graph: None
) -> None:
    """One that the workspace names, or the environment; the workspace is gone by then."""
    from rabtriever_core.integrations.mlflow_model import save_model

    monkeypatch.setattr(store, "run_dvc", quick_dvc)
    work = tmp_path / "work"
    local = release_small(work)
    with qdrant(tmp_path / "storage") as port:
        address = f"http://127.0.0.1:{port}"
        served = with_settings(local, index={"probe_queries": 2, "url": address})
        release = restore(served, by="ana")
        save_model(served, release, tmp_path / "named")
        save_model(local, release, tmp_path / "local")
        with Retriever.open(served) as retriever:
            ours = [hit.document_id for hit in retriever.search(QUERIES[0], 3)]
        shutil.rmtree(work)

        def asked(model: str) -> list[str]:
            opened = mlflow.pyfunc.load_model(str(tmp_path / model))
            answers = opened.predict(pd.DataFrame({"query": QUERIES[:1]}), params={"k": 3})
            found: list[str] = answers["document_id"].tolist()
            return found

        assert asked("named") == ours
        with pytest.raises(IndexMismatchError, match="set QDRANT_URL"):
            asked("local")
        monkeypatch.setenv("QDRANT_URL", address)
        assert asked("local") == ours


def test_a_promotion_does_not_wait_for_mlflow(
    released: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rabtriever_core.integrations.mlflow import keep_mlflow_informed, tell_mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = with_settings(released, tracking={"mlflow": "http://127.0.0.1:9"})
    with pytest.raises(TrackingError, match=r"MLflow at http://127\.0\.0\.1:9"):
        tell_mlflow(away)
    with caplog.at_level(logging.WARNING):
        keep_mlflow_informed(away)
    assert "`rabtriever releases track` catches up" in caplog.text
    caplog.clear()
    keep_mlflow_informed(released)
    assert not caplog.text
    with pytest.raises(ConfigError, match=r"tracking\.mlflow is null"):
        tell_mlflow(released)


def test_the_address_holds_no_secret() -> None:
    with pytest.raises(ValueError, match="no password"):
        Settings.model_validate({"tracking": {"mlflow": "http://ana:pass@mlflow:5000"}})
