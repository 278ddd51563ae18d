"""mteb evaluates the student on the demo set: its nDCG@10 is that of our own evaluation."""

from typing import Any

import pytest

from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.data.demo import write_demo
from rabtriever_core.errors import ConfigError
from rabtriever_core.evaluation.metrics import mean_values, per_query, run_from_scores
from rabtriever_core.workspace import Workspace
from tests.core.integrations.released import small_student

mteb = pytest.importorskip("mteb")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return read_dataset(folder)


def local_task(dataset: Dataset, split: str) -> Any:
    """A retrieval task of mteb on a split of a data set that lies here."""
    from datasets import Dataset as Rows
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class LocalRetrieval(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="LocalRetrieval",
            description="The demo set.",
            dataset={"path": "local/demo", "revision": "1"},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=[split],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            queries = dataset.split_queries(split)
            self.dataset = {
                "default": {
                    split: {
                        "corpus": Rows.from_list(
                            [
                                {"id": d.id, "title": d.title, "text": d.text}
                                for d in dataset.documents
                            ]
                        ),
                        "queries": Rows.from_list(
                            [{"id": q, "text": dataset.queries[q]} for q in queries]
                        ),
                        "relevant_docs": {q: dataset.qrels[split][q] for q in queries},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return LocalRetrieval()


def test_its_figures_are_ours(dataset: Dataset) -> None:
    from rabtriever_core.integrations.mteb import RabtrieverModel

    student = small_student(dataset, predictor="wide")
    model = RabtrieverModel(student, name="rabtriever/small", revision="1")
    split = "test"
    result = mteb.evaluate(
        model, local_task(dataset, split), cache=None, co2_tracker=False, show_progress_bar=False
    )
    (task,) = result.task_results
    (scores,) = task.scores[split]

    queries, ids = dataset.split_queries(split), [d.id for d in dataset.documents]
    margins = student.margin([dataset.queries[q] for q in queries], dataset.documents)
    run = run_from_scores(queries, ids, margins, depth=len(ids))
    judged = {q: dataset.qrels[split][q] for q in queries}
    ours = mean_values(per_query(judged, run))
    assert scores["ndcg_at_10"] == pytest.approx(ours["nDCG@10"], abs=1e-5)
    assert scores["recall_at_10"] == pytest.approx(ours["R@10"], abs=1e-5)
    assert 0 < ours["nDCG@10"] < 1


def test_it_says_what_it_is(released: Workspace) -> None:
    from mteb.models import EncoderProtocol
    from mteb.models.model_meta import ScoringFunction

    from rabtriever_core.integrations.mteb import RabtrieverModel

    model = RabtrieverModel.open(released)
    assert isinstance(model, EncoderProtocol)
    meta = model.mteb_model_meta
    assert meta.similarity_fn_name is ScoringFunction.DOT_PRODUCT
    assert meta.name == "rabtriever/small"
    assert meta.revision.startswith("0001-")
    assert meta.embed_dim == model.model.dimension


def test_a_text_that_is_neither_is_refused(dataset: Dataset) -> None:
    from rabtriever_core.integrations.mteb import RabtrieverModel

    model = RabtrieverModel(small_student(dataset), name="rabtriever/small", revision="1")
    with pytest.raises(ConfigError, match="retrieval and reranking tasks"):
        model.encode([{"text": ["both alike"]}], prompt_type=None)


def test_the_titles_of_a_corpus_are_read_as_in_training(dataset: Dataset) -> None:
    from mteb.types import PromptType

    from rabtriever_core.integrations.mteb import RabtrieverModel

    student = small_student(dataset)
    model = RabtrieverModel(student, name="rabtriever/small", revision="1")
    documents = list(dataset.documents[:3])
    batch = {
        "title": [d.title for d in documents],
        "body": [d.text for d in documents],
        "text": [f"{d.title} {d.text}".strip() for d in documents],
    }
    vectors = model.encode([batch], prompt_type=PromptType.document)
    assert vectors.tolist() == student.encode_documents(documents).tolist()
