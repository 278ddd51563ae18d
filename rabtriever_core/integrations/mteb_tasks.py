"""mteb's tasks on data that lie here: nothing is fetched (extra `mteb`)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rabtriever_core.errors import DatasetError
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.mteb import RabtrieverModel
from rabtriever_core.integrations.mteb_teacher import RabtrieverTwoStage
from rabtriever_core.workspace import Workspace

try:
    import mteb
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata
except ImportError as error:
    raise missing_extra("mteb", error) from error

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask


logger = logging.getLogger(__name__)


@contextmanager
def local_task(name: str, folder: Path, split: str | None = None) -> "Iterator[AbsTask]":
    """Open a task of mteb whose data set is a folder here, as the hub has it.

    Args:
        name: of one of mteb's tasks. Any other name makes a retrieval task of the folder, which
            then needs what mteb's retrieval data sets have: the configurations `corpus`, `queries`
            and `default` (or `qrels`), named in its README.md.
        folder: copy of the data set (`hf download REPOSITORY --repo-type dataset --local-dir …`).
        split: the one to evaluate; the task's own where it is not given, `test` of any other.

    Raises:
        DatasetError: there is no such folder, it does not hold that task's data, or the task ranks
            nothing.
    """
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}")
    here = {"path": str(folder.resolve()), "revision": "local"}
    try:
        task = mteb.get_task(name, eval_splits=None if split is None else [split])
    except KeyError:
        logger.info("%s is none of mteb's tasks: %s is a retrieval task of its own", name, folder)
        task = _retrieval_task(name, here, split or "test")
    if not isinstance(task, AbsTaskRetrieval):
        raise DatasetError(
            f"{name} is a task of type {task.metadata.type}: Rabtriever can be evaluated on "
            "retrieval and reranking tasks"
        )
    # The class's own is shared by all of that task.
    task.metadata = task.metadata.model_copy(update={"dataset": here})
    with _fresh_cache():
        try:
            task.load_data()
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(
                f"{folder} cannot be read as the data of {name} ({type(error).__name__}: {error})"
            ) from error
        yield task


def evaluate_task(
    workspace: Workspace, name: str, folder: Path, split: str | None = None, *, two_stage: bool
) -> dict[str, dict[str, float]]:
    """The served release on a task, over the task's own documents: part of it → metric → value.

    Args:
        workspace: whose release.
        name: of the task.
        folder: its data.
        split: see `local_task`.
        two_stage: let the teacher put the student's first documents in order.

    Raises:
        DatasetError: as for `local_task`.
        ReleaseError: the release is not here, or not complete; and as for `RabtrieverModel.open`.
    """
    model = (RabtrieverTwoStage if two_stage else RabtrieverModel).open(workspace)
    with local_task(name, folder, split) as task:
        found = mteb.evaluate(model, task, cache=None, co2_tracker=False)
    (result,) = found.task_results
    scores: dict[str, dict[str, float]] = {}
    for part, subsets in result.scores.items():
        for each in subsets:
            subset = str(each["hf_subset"])
            scores[part if subset == "default" else f"{part}, {subset}"] = _numbers(each)
    return scores


@contextmanager
def _fresh_cache() -> Iterator[None]:
    """For a time, datasets remembers nothing of before.

    It keeps what it read of a folder under the folder's name alone: of two of the same name, or of
    one that was changed, it would go on giving the first.
    """
    from datasets import config

    before = config.HF_DATASETS_CACHE
    with TemporaryDirectory() as folder:
        config.HF_DATASETS_CACHE = Path(folder)
        try:
            yield
        finally:
            config.HF_DATASETS_CACHE = before


def _numbers(scores: Any) -> dict[str, float]:
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def _retrieval_task(name: str, dataset: dict[str, str], split: str) -> AbsTaskRetrieval:
    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name,
            description="A data set that lies here.",
            dataset=dataset,
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=[split],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

    return Local()
