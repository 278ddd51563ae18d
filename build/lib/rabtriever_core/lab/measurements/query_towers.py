"""What a query costs in every form of the query tower, and what of the ranking each form keeps."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.evaluation.benchmark import evaluated_queries
from rabtriever_core.evaluation.latency import milliseconds_per_query
from rabtriever_core.evaluation.metrics import (
    aggregate,
    most_left_out,
    run_from_scores,
    without,
)
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.query_tower import QueryTower, QueryVectors
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.integrations.onnx import QueryGraph
from rabtriever_core.integrations.onnx_export import top_agreement
from rabtriever_core.integrations.onnx_graph import quantize_graph, query_side, write_graph
from rabtriever_core.lab.measurements.query_towers_report import share_against_time
from rabtriever_core.models.arrays import Floats
from rabtriever_core.report.plot_style import save_png
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.provenance import computer

FILE = "query_towers.json"
_DEPTH = 10
_TIMED = 200
"""Queries that are timed, spread over the test splits."""
_WARM_UP = 10

Encode = Callable[[Sequence[str]], QueryVectors]


@dataclass(frozen=True)
class _Judged:
    """A workspace's documents as stored, and the queries of its test splits."""

    dataset: Dataset
    ids: list[str]
    stored: Floats
    splits: Mapping[str, list[str]]

    def texts(self, split: str) -> list[str]:
        return [self.dataset.queries[query] for query in self.splits[split]]

    def mrr(self, encode: Encode) -> dict[str, float]:
        """MRR@10 of every test split; queries are encoded one at a time, as they are timed."""
        found = {}
        for split, queries in self.splits.items():
            rows = [encode([text]).margins(self.stored)[0] for text in self.texts(split)]
            left_out = self.dataset.left_out
            depth = _DEPTH + most_left_out(left_out, queries)
            run = run_from_scores(queries, self.ids, np.stack(rows), depth)
            labels = {query: self.dataset.qrels[split][query] for query in queries}
            found[split] = aggregate(labels, without(run, left_out, _DEPTH))["MRR@10"]
        return found


def measure_towers(workspaces: Sequence[Workspace], threads: int) -> Path:
    """Measure and write `query_towers.json` and `.png` into the first workspace's measurements.

    One query is encoded at a time, in torch and by ONNX Runtime in float32 and int8. Documents are
    compared as the index holds them. The share kept is of the first workspace's torch tower, on the
    test split where it is lowest.

    Args:
        workspaces: finished ones, on one data set.
        threads: to compute with.

    Returns:
        The path of the JSON.

    Raises:
        ArtifactError: student, teacher, index or document embeddings are missing or damaged.
        ConfigError: the extra `onnx` is not installed.
        ModelError: the tokenizer has no fast form.
    """
    load = [os.getloadavg()[0]]
    rows: list[dict[str, Any]] = []
    for workspace in workspaces:
        rows += _forms(workspace, threads, rows[0] if rows else None)
    load.append(os.getloadavg()[0])
    names = [workspace.root.name for workspace in workspaces]
    path = workspaces[0].measurements / FILE
    measured = {
        "title": f"Query towers of {', '.join(names)} on {workspaces[0].settings.dataset.name}",
        "note": f"One query at a time, {threads} threads; load average {load[0]:.2f} before "
        f"and {load[1]:.2f} after.",
        "command": f"rabtriever lab measure-towers {' '.join(names)} --threads {threads}",
        "machine": computer("cpu"),
        "rows": rows,
    }
    write_json(path, measured)
    save_png(share_against_time(measured), path.with_suffix(".png"))
    return path


def _forms(
    workspace: Workspace, threads: int, first: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    tower = _tower(workspace, threads)
    judged = _judged(workspace, tower)
    every = [text for split in judged.splits for text in judged.texts(split)]
    timed = spread(every, _TIMED)
    rows: list[dict[str, Any]] = []

    def measure(form: str, encode: Encode, size: int, agreement: float) -> None:
        milliseconds = milliseconds_per_query(lambda text: encode([text]), timed, _WARM_UP)
        mrr = {f"MRR@10 {split}": value for split, value in judged.mrr(encode).items()}
        base = first or (rows[0] if rows else mrr)
        shares = [value / base[name] for name, value in mrr.items() if base.get(name)]
        rows.append(
            {
                "workspace": workspace.root.name,
                "tower": form,
                "megabytes": size / 1e6,
                "p50_ms": milliseconds["median"],
                "p95_ms": milliseconds["p95"],
                **mrr,
                "share_kept": min(shares, default=None),
                "top10_agreement": agreement,
            }
        )

    tensors = tower.student.query_encoder.model.parameters()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    measure("torch float32", tower.encode, weights, 1.0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_graph(tower, folder)
        for form in ("float32", "int8"):
            if form == "int8":
                quantize_graph(folder)
            graph = QueryGraph(folder, query_side(tower), tower.dimension, threads)
            agreement = top_agreement(graph, tower, timed, judged.stored)
            size = sum(path.stat().st_size for path in folder.glob("*.onnx*"))
            measure(f"ONNX {form}", graph.encode, size, agreement)
    return rows


def _tower(workspace: Workspace, threads: int) -> QueryTower:
    exact = {"precision": "float32", "device": "cpu", "threads": threads}
    student, teacher, gauge = (
        workspace.artifact(name) for name in ("student", "teacher", "qdrant_collection")
    )
    runtime = workspace.settings.runtime.model_copy(update=exact)
    return QueryTower.load(student, teacher, gauge, workspace.settings.index, runtime)


def _judged(workspace: Workspace, tower: QueryTower) -> _Judged:
    settings = workspace.settings
    validated = load_artifact(workspace.artifact("validated_dataset"))
    dataset = read_dataset(validated.folder, settings.dataset.name)
    documents = StoredDocuments.open(
        load_artifact(workspace.artifact("document_embeddings")).folder
    )
    names = (settings.dataset.train_split, settings.dataset.dev_split)
    splits = evaluated_queries(dataset, settings.benchmark, *names)
    return _Judged(dataset, documents.ids, documents.stored(tower), splits)
