"""mteb: the teacher as a reranker, and student and teacher together (extra `mteb`).

    import mteb
    from rabtriever_core.integrations.mteb_teacher import RabtrieverTwoStage

    results = mteb.evaluate(RabtrieverTwoStage.open("my-work"), mteb.get_tasks(["SciFact"]))

Documents that a task excludes of a query (BRIGHT) never get to the student's ranking: mteb names
those that may be found, and its search keeps to them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.data.dataset import Document
from rabtriever_core.evaluation.metrics import ranking
from rabtriever_core.evaluation.two_stage import reranked
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.mteb import RabtrieverModel, batch_documents, model_meta
from rabtriever_core.integrations.served import as_workspace, open_served
from rabtriever_core.models.arrays import Floats
from rabtriever_core.workspace import Workspace

try:
    from mteb.models import SearchCrossEncoderWrapper, SearchEncoderWrapper
except ImportError as error:
    raise missing_extra("mteb", error) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from datasets import Dataset as Rows

    from rabtriever_core.models.base_reranker import Reranker


class RabtrieverReranker:
    """The teacher: the margin of a query with a document, both read by the language model."""

    def __init__(self, teacher: "Reranker", *, name: str, revision: str) -> None:
        """Wrap a teacher.

        Args:
            teacher: which is not copied.
            name: `organization/model`, under which mteb keeps results.
            revision: what tells two trained ones of that name apart.
        """
        self.model = teacher
        self.mteb_model_meta = model_meta(
            name, revision, teacher.backbone.prompt, model_type=["cross-encoder"]
        )

    @classmethod
    def open(cls, workspace: Workspace | Path | str | None = None) -> "RabtrieverReranker":
        """The teacher of the release that is served; arguments and errors of `RabtrieverModel`."""
        opened = open_served(workspace)
        name = f"rabtriever/{opened.release.dataset}-teacher"
        return cls(opened.reranker, name=name, revision=opened.release.id)

    def predict(
        self,
        inputs1: "Iterable[Mapping[str, Any]]",
        inputs2: "Iterable[Mapping[str, Any]]",
        **_: Any,
    ) -> Floats:
        """Margins of pairs: float32 [n]. A document of several pairs is read once for a batch.

        Args:
            inputs1: batches of n queries as mteb's data loaders give them.
            inputs2: batches of their n documents.
        """
        queries = [str(text) for batch in inputs1 for text in batch["text"]]
        number: dict[tuple[str, str], int] = {}
        rows = [
            number.setdefault((document.title, document.text), len(number))
            for batch in inputs2
            for document in batch_documents(batch)
        ]
        distinct = [Document(str(row), text, title) for (title, text), row in number.items()]
        candidates = np.array(rows, dtype=np.int64)[:, None]
        margins = self.model.candidate_margins(queries, distinct, candidates, None)
        first: Floats = margins[:, 0]
        return first


class RabtrieverTwoStage:
    """The student ranks a task's corpus, the teacher puts the first documents in order.

    As `Retriever.search(…, rerank=True)` answers, over documents that are in no collection.
    """

    def __init__(self, student: RabtrieverModel, teacher: RabtrieverReranker, depth: int) -> None:
        """Put two models together.

        Args:
            student: ranks all documents, or those that a task names.
            teacher: reads the first.
            depth: how many it reads.
        """
        self.depth = depth
        self._first, self._second = (
            SearchEncoderWrapper(student),
            SearchCrossEncoderWrapper(teacher),
        )
        meta = student.mteb_model_meta
        self.mteb_model_meta = meta.model_copy(
            update={
                "name": f"{meta.name}-two-stage",
                "revision": f"{meta.revision}-{depth}",
                "similarity_fn_name": None,
            }
        )

    @classmethod
    def open(cls, workspace: Workspace | Path | str | None = None) -> "RabtrieverTwoStage":
        """The served release, to `serving.rerank_depth`; errors of `RabtrieverModel.open`."""
        found = as_workspace(workspace)
        opened = open_served(found)
        name, revision = f"rabtriever/{opened.release.dataset}", opened.release.id
        return cls(
            RabtrieverModel(opened.tower.student, name=name, revision=revision),
            RabtrieverReranker(opened.reranker, name=f"{name}-teacher", revision=revision),
            found.settings.serving.rerank_depth,
        )

    def index(self, corpus: "Rows", **options: Any) -> None:
        """Take a corpus."""
        for stage in (self._first, self._second):
            stage.index(corpus, **options)

    def search(
        self, queries: "Rows", *, top_ranked: Any = None, **options: Any
    ) -> dict[str, dict[str, float]]:
        """Query → document → score: places, negated, since no margins of one model order them all.

        Args:
            queries: of the task.
            top_ranked: query → documents that may be found; all where it is not given.
            options: what mteb gives a search, `top_k` among them.
        """
        student = self._first.search(queries, top_ranked=top_ranked, **options)
        first = {query: ranking(scores)[: self.depth] for query, scores in student.items()}
        teacher = self._second.search(queries, top_ranked=first, **options)
        return {query: reranked(student[query], teacher[query], self.depth) for query in student}
