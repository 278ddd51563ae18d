"""mteb evaluates teacher and two stages: the figures are those of our own evaluation."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rabtriever_core.data.dataset import read_dataset, write_dataset
from rabtriever_core.errors import DatasetError
from rabtriever_core.evaluation.metrics import mean_values, per_query
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.serving.served_quality import evaluate
from rabtriever_core.workspace import Workspace
from tests.core.integrations.hub_layout import write_bright, write_task
from tests.documentation.blocks import DOCS, blocks

mteb = pytest.importorskip("mteb")


def results(model: Any, task: Any, predictions: Path) -> tuple[dict[str, float], Any]:
    """Scores and rankings; mteb rounds the means of some metrics to five digits."""
    found = mteb.evaluate(
        model,
        task,
        cache=None,
        co2_tracker=False,
        show_progress_bar=False,
        prediction_folder=predictions,
    )
    (result,) = found.task_results
    ((split, (scores,)),) = result.scores.items()
    (file,) = predictions.glob("*.json")
    return scores, json.loads(file.read_text())["default"][split]


@pytest.fixture(scope="module")
def shallow(released: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The release, whose teacher reads two of the documents."""
    settings = released.settings
    serving = settings.serving.model_copy(update={"rerank_depth": 2})
    return replace(released, settings=settings.model_copy(update={"serving": serving}))


def test_two_stages_are_ours(shallow: Workspace, tmp_path: Path) -> None:
    from rabtriever_core.integrations.mteb_tasks import local_task
    from rabtriever_core.integrations.mteb_teacher import RabtrieverTwoStage

    dataset = read_dataset(shallow.dataset_folder)
    with local_task("Ours", write_task(dataset, "test", tmp_path / "task")) as task:
        scores, run = results(RabtrieverTwoStage.open(shallow), task, tmp_path / "found")
    with Retriever.open(shallow) as retriever:
        ours = evaluate(retriever, shallow.dataset_folder, "test", rerank=True)
        student = evaluate(retriever, shallow.dataset_folder, "test")
    means = ours.means("two_stage")
    theirs = mean_values(per_query(ours.judged.qrels, run))
    for metric in ("nDCG@10", "MRR@10", "R@1"):
        assert theirs[metric] == pytest.approx(means[metric], abs=1e-6)
    assert scores["ndcg_at_10"] == pytest.approx(means["nDCG@10"], abs=1e-5)
    assert scores["mrr_at_10"] == pytest.approx(means["MRR@10"], abs=1e-5)
    assert means != student.means("student"), "the teacher changes the order"


def test_excluded_documents_of_bright_are_left_out(released: Workspace, tmp_path: Path) -> None:
    """A toy copy of BRIGHT, read by mteb's loader, and a BEIR folder of the same."""
    from rabtriever_core.integrations.mteb_tasks import local_task
    from rabtriever_core.integrations.mteb_teacher import RabtrieverTwoStage

    dataset = read_dataset(released.dataset_folder)
    queries = list(dataset.qrels["test"])
    with Retriever.open(released) as retriever:
        plain = evaluate(retriever, released.dataset_folder, "test", rerank=True)
        wrong = {
            query: [
                d for d in plain.runs["two_stage"][query] if d not in dataset.qrels["test"][query]
            ]
            for query in queries
        }
        excluded = {query: tuple(wrong[query][:2]) for query in queries[::2]}
        write_dataset(replace(dataset, excluded=excluded), tmp_path / "beir")
        ours = evaluate(retriever, tmp_path / "beir", "test", rerank=True)
    folder = write_bright(dataset, "test", excluded, tmp_path / "bright")
    with local_task("BrightBiologyRetrieval", folder) as task:
        scores, run = results(RabtrieverTwoStage.open(released), task, tmp_path / "found")
    assert all(not run[query].keys() & set(left_out) for query, left_out in excluded.items())
    means = ours.means("two_stage")
    theirs = mean_values(per_query(ours.judged.qrels, run))
    assert theirs == pytest.approx(means, abs=1e-6)
    assert scores["ndcg_at_10"] == pytest.approx(means["nDCG@10"], abs=1e-5)
    assert means["MRR@10"] > plain.means("two_stage")["MRR@10"]


def test_the_teacher_reranks(released: Workspace, tmp_path: Path) -> None:
    from mteb.models import CrossEncoderProtocol

    from rabtriever_core.integrations.mteb_tasks import local_task
    from rabtriever_core.integrations.mteb_teacher import RabtrieverReranker

    dataset = read_dataset(released.dataset_folder)
    model = RabtrieverReranker.open(released)
    assert isinstance(model, CrossEncoderProtocol)
    assert model.mteb_model_meta.is_cross_encoder
    assert model.mteb_model_meta.name == "rabtriever/small-teacher"
    documents = dataset.documents[:5]
    named = {query: [d.id for d in documents] for query in dataset.qrels["test"]}
    with local_task("Ours", write_task(dataset, "test", tmp_path / "task")) as task:
        task.dataset["default"]["test"]["top_ranked"] = named
        _, run = results(model, task, tmp_path / "found")
    with Retriever.open(released) as retriever:
        for query in list(named)[:3]:
            ours = retriever.rerank(dataset.queries[query], documents)
            margins = {document.id: margin for document, margin in ours.results}
            assert run[query] == pytest.approx(margins, abs=1e-4)


def test_the_printed_example(
    released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs with the data of a small task, and on the command line says the same."""
    from rabtriever_core.cli import app

    (printed,) = (
        block.text
        for block in blocks(DOCS / "how-to" / "tracking.md")
        if (block.section, block.language) == ("mteb", "python")
    )
    write_task(read_dataset(released.dataset_folder), "test", tmp_path / "scifact")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABTRIEVER_WORKSPACE", str(released.root))
    names: dict[str, Any] = {}
    exec(printed.replace("print(", "found = ("), names)  # noqa: S102
    (result,) = names["found"].task_results
    ((scores,),) = result.scores.values()
    said = CliRunner().invoke(app, ["eval", "scifact", "--mteb", "SciFact", "--rerank", "--json"])
    assert said.exit_code == 0, said.output
    shown = json.loads(said.stdout)
    assert shown["scores"]["test"]["ndcg_at_10"] == scores["ndcg_at_10"]
    assert shown["two_stage"] is True


def test_a_folder_that_changed_is_read_anew(released: Workspace, tmp_path: Path) -> None:
    """What datasets remembers of a folder hangs on its name alone."""
    from rabtriever_core.integrations.mteb_tasks import local_task

    dataset = read_dataset(released.dataset_folder)
    for count in (12, 3):
        few = replace(dataset, documents=dataset.documents[:count])
        folder = write_task(few, "test", tmp_path / str(count) / "same-name")
        with local_task("Ours", folder) as task:
            assert len(task.dataset["default"]["test"]["corpus"]) == count


def test_what_cannot_be_read(tmp_path: Path) -> None:
    from rabtriever_core.integrations.mteb_tasks import local_task

    for name, folder, words in (
        ("SciFact", tmp_path / "none", "there is no folder"),
        ("STS12", tmp_path, "type STS"),
        ("SciFact", tmp_path, "cannot be read as the data of SciFact"),
    ):
        with pytest.raises(DatasetError, match=words), local_task(name, folder):
            pass
