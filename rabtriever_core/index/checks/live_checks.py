"""Ask a collection whether it still is what was built, at any time after the build."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rabtriever_core.config import IndexConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.aliases import check_built_by, physical_collection
from rabtriever_core.index.checks.contents import differing
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.checks.model_agreement import agreement_with_model
from rabtriever_core.index.checks.probes import check_probes, recorded_probes
from rabtriever_core.index.connection import connect
from rabtriever_core.index.lexical import Lexical, hashes
from rabtriever_core.index.onnx.reader import QueryGraph
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact

# Enough to notice a wrong ranking, few enough to ask whenever somebody wonders.
_MAX_QUERIES = 50
_MAX_POINTS = 10_000


@dataclass(frozen=True)
class LiveIndex:
    """What a collection holds and answers now, against what its artifacts say."""

    collection: str
    count: int
    expected_count: int
    probe_queries: int
    problem: str
    """Why the probe queries fail, or which documents are damaged; empty when all is right."""
    agreement: float
    """Share of the top ten that index and model agree on."""
    queries: int
    """Dev queries the agreement was measured with."""
    losses: dict[str, float] = field(default_factory=dict)
    """What truncation, graph and quantization cost, see `Agreement`."""


CHECKED_PARTS = (
    "validated_dataset",
    "teacher",
    "student",
    "document_embeddings",
    "qdrant_collection",
)
"""Stages whose artifacts a collection is held against."""


def check_built_index(workspace: Workspace) -> LiveIndex:
    """Count, probe queries and ranking of the collection that was built last, served or not.

    Raises:
        ArtifactError: an artifact is missing or damaged.
        IndexMismatchError: the collection is gone, or other artifacts built it.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    folders = {name: workspace.artifact(name) for name in CHECKED_PARTS}
    return check_collection(workspace, folders, workspace.settings.index)


def check_collection(
    workspace: Workspace, folders: Mapping[str, Path], index: IndexConfig
) -> LiveIndex:
    """Hold a collection against the artifacts it was built from.

    Args:
        workspace: whose Qdrant.
        folders: of the `CHECKED_PARTS`.
        index: how the collection is stored and searched.

    Raises:
        ArtifactError: an artifact is missing or damaged.
        IndexMismatchError: the collection is gone, or other artifacts built it.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    settings = workspace.settings
    artifacts = {name: load_artifact(folders[name]) for name in CHECKED_PARTS}
    dataset = read_dataset(artifacts["validated_dataset"].folder, settings.dataset.name)
    record_file = artifacts["qdrant_collection"].folder / "collection.json"
    record = json.loads(record_file.read_text(encoding="utf-8"))
    tower = QueryTower.load(
        artifacts["student"].folder,
        artifacts["teacher"].folder,
        artifacts["qdrant_collection"].folder,
        index,
        settings.runtime,
    )
    # Probe queries were chosen by what encodes queries in service, and are asked by it.
    graph = QueryGraph.beside(artifacts["qdrant_collection"].folder, settings.runtime.threads)
    encoder = graph or tower
    embeddings = StoredDocuments.open(artifacts["document_embeddings"].folder)
    embeddings.check_of(dataset.documents)
    lexical = Lexical.load(artifacts["qdrant_collection"].folder)
    words = None if lexical is None else lexical.documents(dataset.documents)
    probes = recorded_probes(record)
    dev = dataset.split_queries(settings.dataset.dev_split)
    texts = [dataset.queries[query] for query in spread(dev, _MAX_QUERIES)]
    made_by = ("teacher", "student", "document_embeddings")
    with connect(settings.index, workspace.qdrant) as client:
        built = physical_collection(client, record["collection"])
        parts = {name: artifacts[name].hash for name in made_by}
        parts |= {"gauge": tower.gauge.fingerprint, **hashes(lexical)}
        check_built_by(built, parts)
        problem = ""
        try:
            check_probes(client, built.name, encoder, probes)
        except IndexMismatchError as error:
            problem = str(error)
        stored = embeddings.stored_shards(tower)
        rows = differing(client, built.name, dataset.documents, stored, _MAX_POINTS, words)
        if rows:
            problem = problem or (
                f"{built.name}: the stored vector or text of {len(rows)} documents is not what was "
                f"uploaded, e.g. {dataset.documents[rows[0]].id!r}: `rabtriever releases restore` "
                "uploads them again"
            )
        agreement = agreement_with_model(
            client,
            built.name,
            tower,
            texts,
            dataset.documents,
            embeddings,
            index,
            None if lexical is None or words is None else (lexical, words),
        )
    return LiveIndex(
        collection=built.name,
        count=built.count,
        expected_count=len(dataset.documents),
        probe_queries=len(probes),
        problem=problem,
        agreement=agreement.top10,
        queries=len(texts),
        losses=agreement.losses(),
    )
