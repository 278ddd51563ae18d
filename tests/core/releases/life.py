"""A workspace whose stages have run, with a student that is as good as one likes."""

import json
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rabtriever_core.config import RuntimeConfig, Settings
from rabtriever_core.data.dataset import Dataset, Document, write_dataset
from rabtriever_core.evaluation.metrics import mean_values, per_query
from rabtriever_core.evaluation.results import write_runs
from rabtriever_core.index.connection import connect
from rabtriever_core.index.search import search
from rabtriever_core.stages.run import run_stage
from rabtriever_core.stages.validated_dataset import fingerprint
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import build_artifact, load_artifact
from rabtriever_core.workspace.identity import Identity

DOCUMENTS, QUERIES = 24, 20


def life_dataset(documents: int = DOCUMENTS) -> Dataset:
    """Query i's right document is i."""
    splits = {"train": range(4), "dev": range(4, 10), "test": range(10, QUERIES)}
    return Dataset(
        "demo",
        tuple(Document(f"d{i}", f"tale {i}") for i in range(documents)),
        {f"q{i}": f"tell {i}" for i in range(QUERIES)},
        {split: {f"q{i}": {f"d{i}": 1} for i in rows} for split, rows in splits.items()},
    )


class Student:
    """Knows every right document, save those of the queries its weights call wrong.

    Its vectors depend on the teacher's salt: a tower of one release finds nothing right in a
    collection of another.
    """

    dimension = 16
    encoder = SimpleNamespace(rounding=0.0)
    encoded: list[str] = []  # noqa: RUF012 - counted over all instances

    def __init__(self, salt: int, wrong: Sequence[int]) -> None:
        self.salt, self.wrong = salt, wrong

    @classmethod
    def load(cls, folder: Path, teacher: Path, runtime: RuntimeConfig) -> "Student":
        """Open the two artifacts."""
        load_artifact(folder, parents={"teacher": load_artifact(teacher).hash})
        wrong = json.loads((folder / "weights").read_text())
        return cls(int((teacher / "weights").read_text()), wrong)

    def encode_documents(self, documents: Sequence[Document], **_: Any) -> np.ndarray:
        """[m, 16], of length 1."""
        type(self).encoded += [document.id for document in documents]
        return self._vectors([zlib.crc32(d.full_text.encode()) for d in documents])

    def document_vectors(self, states: np.ndarray) -> np.ndarray:
        """As they are."""
        return states

    def encode_queries(self, queries: Sequence[str], **_: Any) -> np.ndarray:
        """The vectors of the documents it takes for the right ones."""
        numbers = [int(text.split()[1]) for text in queries]
        shown = [n + 1 if n in self.wrong else n for n in numbers]
        return self._vectors([zlib.crc32(f"tale {n}".encode()) for n in shown])

    def encode_queries_with_offsets(self, queries: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """[n, 16] and zeros [n]."""
        return self.encode_queries(queries), np.zeros(len(queries), dtype=np.float32)

    def margin(self, queries: Sequence[str], documents: Sequence[Document]) -> np.ndarray:
        """[n, m]."""
        stored = self._vectors([zlib.crc32(d.full_text.encode()) for d in documents])
        return self.encode_queries(queries) @ stored.T

    def _vectors(self, seeds: Sequence[int]) -> np.ndarray:
        drawn = [np.random.default_rng([self.salt, seed]).standard_normal(16) for seed in seeds]
        vectors = np.stack(drawn).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Reader:
    """The teacher of the student above, as it reads documents."""

    dimension = Student.dimension

    def __init__(self, salt: int) -> None:
        self.salt = salt

    @classmethod
    def load(cls, teacher: Path, runtime: RuntimeConfig) -> "Reader":
        """Open the artifact."""
        return cls(int((teacher / "weights").read_text()))

    def states(self, documents: Sequence[Document]) -> np.ndarray:
        """[m, 16]."""
        return Student(self.salt, ()).encode_documents(documents)


def build(
    root: Path,
    *,
    salt: int = 0,
    wrong: Sequence[int] = (),
    dataset: Dataset | None = None,
    dev_mrr: float = 0.9,
    ms_p95: float = 2.0,
    **sections: Any,
) -> Workspace:
    """Leave in `root` what all stages would, with these models; Qdrant and shards are real."""
    dataset = dataset or life_dataset()
    index = {"probe_queries": 2, "query_tower": "torch"} | sections.pop("index", {})
    settings = Settings(index=index, **sections)
    workspace = Workspace(root, settings)
    shutil.rmtree(workspace.dataset_folder, ignore_errors=True)
    write_dataset(dataset, workspace.dataset_folder)
    dev = {"dev": {"MRR@10": dev_mrr}}
    data = _artifact(workspace, "validated_dataset", {}, {"passed": True, "broken": []}, dataset)
    backbone = _artifact(workspace, "backbone", {"validated_dataset": data}, {}, "backbone")
    on_data = {"validated_dataset": data, "backbone": backbone}
    bi_encoder = _artifact(workspace, "bi_encoder", on_data, {}, "bi")
    teacher = _artifact(workspace, "teacher", on_data | {"bi_encoder": bi_encoder}, dev, str(salt))
    tuned = {"validated_dataset": data, "teacher": teacher}
    _artifact(workspace, "student", tuned, dev, json.dumps(list(wrong)))
    for stage in ("document_embeddings", "calibration", "qdrant_collection"):
        run_stage(workspace, stage)
    report(workspace, dataset, ms_p95)
    return workspace


def grown(dataset: Dataset) -> Dataset:
    """One document more, one less that nobody asks for, another test query."""
    documents = (*dataset.documents[:-1], Document("d99", "tale 99"))
    qrels = {split: dict(rows) for split, rows in dataset.qrels.items()}
    qrels["test"]["q99"] = {"d99": 1}
    return replace(
        dataset, documents=documents, queries=dataset.queries | {"q99": "tell 99"}, qrels=qrels
    )


def _artifact(
    workspace: Workspace,
    stage: str,
    parents: dict[str, str],
    metrics: dict[str, Any],
    content: str | Dataset,
) -> str:
    def make(output: Path, _: Path) -> dict[str, Any]:
        if isinstance(content, Dataset):
            write_dataset(content, output)
        else:
            (output / "weights").write_text(content)
        return metrics

    key = content.fingerprint if isinstance(content, Dataset) else content
    return build_artifact(
        workspace.artifact(stage),
        work=workspace.work,
        identity=Identity(
            stage="stage",
            version=1,
            config={"content": key, **metrics},
            parents=parents,
            dataset=fingerprint(workspace),
        ),
        make=make,
    ).hash


def report(workspace: Workspace, dataset: Dataset, ms_p95: float) -> None:
    """The benchmark of the test split, as the stage writes it."""
    inputs = ("validated_dataset", "teacher", "student", "document_embeddings", "calibration")
    parents = {
        name: load_artifact(workspace.artifact(name)).hash
        for name in (*inputs, "bi_encoder", "qdrant_collection")
    }

    def make(output: Path, _: Path) -> dict[str, Any]:
        from rabtriever_core.index.query_tower import QueryTower

        tower = QueryTower.load(
            workspace.artifact("student"),
            workspace.artifact("teacher"),
            workspace.artifact("qdrant_collection"),
            workspace.settings.index,
            workspace.settings.runtime,
        )
        record = json.loads(
            (workspace.artifact("qdrant_collection") / "collection.json").read_text()
        )
        queries = dataset.split_queries("test")
        with connect(workspace.settings.index, workspace.qdrant) as client:
            found = search(
                client,
                record["collection"],
                tower.encode([dataset.queries[q] for q in queries]),
                12,
            )
        run = {
            query: {hit.document_id: hit.margin for hit in hits}
            for query, hits in zip(queries, found, strict=True)
        }
        metrics = mean_values(per_query({q: dataset.qrels["test"][q] for q in queries}, run))
        student = {"metrics": metrics, "queries": len(queries), "ms_p95": ms_p95}
        benchmark = {
            "schema": 1,
            "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            "splits": {"test": {"systems": {"student": student}, "comparisons": []}},
            "exactness": {"top10_agreement": record["top10_agreement"]},
        }
        (output / "benchmark.json").write_text(json.dumps(benchmark))
        write_runs(output, dataset, {"test": {"student": run}})
        return {}

    build_artifact(
        workspace.reports,
        work=workspace.work,
        identity=Identity(
            stage="stage",
            version=1,
            config={"ms_p95": ms_p95},
            parents=parents,
            dataset=fingerprint(workspace),
        ),
        make=make,
    )
