"""Quality of a trained system on a split: means, and the rank of the first right document."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import Dataset, Document, Qrels
from rabtriever_core.evaluation.benchmark import sample
from rabtriever_core.evaluation.metrics import (
    Run,
    first_right_rank,
    mean_values,
    most_left_out,
    per_query,
    without,
)
from rabtriever_core.evaluation.systems import Ranker, teacher_ranker, vector_ranker
from rabtriever_core.lab.ablation.plan import Plan, System
from rabtriever_core.workspace.artifacts import Artifact
from rabtriever_core.workspace.atomic import write_json

DEPTH = 10
"""No metric looks deeper."""
_SAMPLE_SEED = 17
"""Apart from the seed of a run: all seeds are measured on the same queries and documents."""


@dataclass(frozen=True)
class Task:
    """Queries, the documents they are ranked over, and what is right."""

    dataset: Dataset
    split: str
    queries: tuple[str, ...]
    documents: tuple[Document, ...]

    @classmethod
    def of(cls, dataset: Dataset, plan: Plan) -> "Task":
        """What the plan measures on a data set.

        Raises:
            DatasetError: there is no such split.
        """
        queries = sample(dataset.split_queries(plan.split), plan.queries, _SAMPLE_SEED)
        documents = dataset.documents
        if plan.documents is not None:
            judged = {d for query in queries for d in dataset.qrels[plan.split][query]}
            rest = [d.id for d in documents if d.id not in judged]
            kept = judged.union(sample(rest, max(0, plan.documents - len(judged)), _SAMPLE_SEED))
            documents = tuple(d for d in documents if d.id in kept)
        return cls(dataset, plan.split, tuple(queries), tuple(documents))

    @property
    def qrels(self) -> Qrels:
        """Judgements of the measured queries."""
        return {query: self.dataset.qrels[self.split][query] for query in self.queries}

    @property
    def digest(self) -> str:
        """Hash of what is asked: equal digests, comparable values."""
        digest = hashlib.sha256(f"{self.split}\n{self.dataset.fingerprint}\n".encode())
        for id_ in (*self.queries, "", *(document.id for document in self.documents)):
            digest.update(f"{id_}\n".encode())
        return digest.hexdigest()[:16]


def measured(
    system: System,
    artifacts: dict[str, Artifact],
    task: Task,
    runtime: RuntimeConfig,
    cache: Path,
) -> dict[str, Any]:
    """Measure a system, or read what the same artifact gave on the same task.

    Args:
        system: which one.
        artifacts: its artifact and those it is made from.
        task: what it is asked.
        runtime: where computations run.
        cache: a folder for measurements of artifacts.

    Returns:
        metrics (metric → mean), ranks (one per query in order of id, separated by spaces: rank of
        the first right document, 0 beyond ten).
    """
    name = hashlib.sha256(f"{artifacts[system].hash} {task.digest}".encode()).hexdigest()[:16]
    path = cache / f"{system}-{name}.json"
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    left_out = task.dataset.left_out
    depth = DEPTH + most_left_out(left_out, task.queries)
    rank = ranker(system, artifacts, task.documents, runtime, depth)
    texts = [task.dataset.queries[query] for query in task.queries]
    run = without(dict(zip(task.queries, rank(texts), strict=True)), left_out, DEPTH)
    result = quality(task, run)
    write_json(path, result, indent=None)
    return result


def quality(task: Task, run: Run) -> dict[str, Any]:
    """Means and first right ranks of a run; see `measured`."""
    means = mean_values(per_query(task.qrels, run))
    ranks = []
    for query in sorted(task.queries):
        rank = first_right_rank(run[query], task.dataset.relevant(task.split, query))
        ranks.append(rank if rank is not None and rank <= DEPTH else 0)
    return {
        "metrics": {metric: round(value, 6) for metric, value in means.items()},
        "ranks": " ".join(map(str, ranks)),
    }


def reciprocal_ranks(ranks: str) -> NDArray[np.float64]:
    """RR@10 of every query from `ranks`."""
    return np.array([1 / int(rank) if int(rank) else 0.0 for rank in ranks.split()])


def ranker(
    system: System,
    artifacts: dict[str, Artifact],
    documents: Sequence[Document],
    runtime: RuntimeConfig,
    depth: int = DEPTH,
) -> Ranker:
    """A trained system over all of `documents`, compared with every one."""
    ids = [document.id for document in documents]
    if system == "teacher":
        from rabtriever_core.models.reranker import GenerativeReranker

        teacher = GenerativeReranker.load(artifacts["teacher"].folder, runtime)
        return teacher_ranker(teacher, documents, depth)
    if system == "bi_encoder":
        from rabtriever_core.training.bi_encoder import BiEncoder

        model = BiEncoder.load(artifacts["bi_encoder"].folder, runtime)
        return vector_ranker(model.encode_queries, ids, model.encode_documents(documents), depth)
    from rabtriever_core.models.student import Student

    student = Student.load(artifacts["student"].folder, artifacts["teacher"].folder, runtime)
    return vector_ranker(student.encode_queries, ids, student.encode_documents(documents), depth)
