"""A small released workspace with real models: a tiny backbone that nobody trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rabtriever_core.config import Settings, StudentConfig
from rabtriever_core.data.dataset import Dataset, write_dataset
from rabtriever_core.models.predictor import make_predictor
from rabtriever_core.models.reranker import GenerativeReranker
from rabtriever_core.models.student import Student
from rabtriever_core.releases.promotion import promote
from rabtriever_core.stages.run import run_stage
from rabtriever_core.stages.validated_dataset import fingerprint
from rabtriever_core.workspace import PARAMS, Workspace
from tests.core.inputs import PASSED, finished
from tests.core.releases.life import report
from tests.core.small import RUNTIME, small_backbone, small_dataset

NIGHT = {"lang": "de", "year": 2021}


def titled_dataset() -> Dataset:
    """The small data set with titles, and with metadata on what is said at night."""
    small = small_dataset()
    documents = tuple(
        replace(
            document,
            title=document.id.replace("-", " at "),
            metadata=NIGHT if document.id.endswith("night") else {},
        )
        for document in small.documents
    )
    return replace(small, documents=documents)


def small_student(dataset: Dataset, **config: Any) -> Student:
    """An untrained student on the untrained small backbone."""
    backbone = small_backbone(dataset)
    predictor = make_predictor(backbone.dimension, StudentConfig(**config), seed=1)
    return Student(backbone, predictor.eval())


def release_small(
    root: Path, dataset: Dataset | None = None, *, query_tower: str = "torch"
) -> Workspace:
    """Leave in `root` what all stages would, with these models, and serve it."""
    dataset = dataset or titled_dataset()
    sections: dict[str, Any] = {
        "dataset": {"name": dataset.name, "folder": f"data/{dataset.name}", "demo": False},
        "index": {"probe_queries": 2, "query_tower": query_tower},
        "runtime": RUNTIME.model_dump(),
    }
    root.mkdir(parents=True)
    settings = Settings(**sections)
    (root / PARAMS).write_text(settings.model_dump_json(), encoding="utf-8")
    workspace = Workspace(root, settings)
    write_dataset(dataset, workspace.dataset_folder)
    student = small_student(dataset)

    def stage(name: str, parents: dict[str, str], save: Any, metrics: Any = PASSED) -> str:
        return finished(workspace, fingerprint(workspace), name, parents, save, metrics)

    dev = {"dev": {"MRR@10": 0.5}}
    data = stage("validated_dataset", {}, lambda out: write_dataset(dataset, out))
    backbone = stage("backbone", {"validated_dataset": data}, student.encoder.save)
    on_data = {"validated_dataset": data, "backbone": backbone}
    bi_encoder = stage("bi_encoder", on_data, student.encoder.save, dev)
    teacher = stage(
        "teacher",
        on_data | {"bi_encoder": bi_encoder},
        GenerativeReranker(student.encoder, 0.0).save,
        dev,
    )
    tuned = {"validated_dataset": data, "teacher": teacher}
    stage("student", tuned, student.save, dev)
    for name in ("document_embeddings", "calibration", "qdrant_collection"):
        run_stage(workspace, name)
    report(workspace, dataset, ms_p95=2.0)
    promote(workspace, by="test", override="nobody trained it")
    return workspace
