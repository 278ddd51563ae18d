"""Ask the served index whether it still is what was built, at any time after the build."""

import json
from dataclasses import dataclass, field

from rabtriever_core.artifacts import load_artifact
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.aliases import check_served, served_collection
from rabtriever_core.index.canaries import check_canaries
from rabtriever_core.index.connection import connect
from rabtriever_core.index.exactness import spread
from rabtriever_core.index.model_agreement import agreement_with_model
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.shards import read_shards
from rabtriever_core.workspace import Workspace

# Enough to notice a wrong ranking, few enough to ask whenever somebody wonders.
_MAX_QUERIES = 50


@dataclass(frozen=True)
class LiveIndex:
    """What the alias serves now, against what the artifacts say."""

    collection: str
    count: int
    expected_count: int
    canaries: int
    problem: str
    """Why the canaries fail; empty when they get the right answers."""
    agreement: float
    """Share of the top ten that index and model agree on."""
    queries: int
    """Dev queries the agreement was measured with."""
    losses: dict[str, float] = field(default_factory=dict)
    """What truncation, graph and quantization cost, see `Agreement`."""


def check_live_index(workspace: Workspace) -> LiveIndex:
    """Count, canaries and ranking of the collection behind the alias.

    Raises:
        ArtifactError: an artifact is missing or damaged.
        IndexMismatchError: nothing is served, or other artifacts built it.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    settings = workspace.settings
    names = ("validated_dataset", "teacher", "student", "document_embeddings", "qdrant_collection")
    artifacts = {name: load_artifact(workspace.artifact(name)) for name in names}
    dataset = read_dataset(artifacts["validated_dataset"].folder, settings.dataset.name)
    record_file = artifacts["qdrant_collection"].folder / "collection.json"
    record = json.loads(record_file.read_text(encoding="utf-8"))
    embeddings = artifacts["document_embeddings"].folder
    tower = QueryTower.load(
        artifacts["student"].folder,
        artifacts["teacher"].folder,
        embeddings,
        settings.index,
        settings.runtime,
    )
    _, vectors = read_shards(embeddings)
    dev = dataset.split_queries(settings.dataset.dev_split)
    texts = [dataset.queries[query] for query in spread(dev, _MAX_QUERIES)]
    made_by = ("teacher", "student", "document_embeddings")
    with connect(settings.index, workspace.qdrant) as client:
        served = served_collection(client, workspace.alias)
        hashes = {name: artifacts[name].hash for name in made_by}
        check_served(served, hashes | {"gauge": tower.gauge.fingerprint})
        problem = ""
        try:
            check_canaries(client, workspace.alias, tower, record["canaries"])
        except IndexMismatchError as error:
            problem = str(error)
        agreement = agreement_with_model(
            client, served.name, tower, texts, dataset.documents, vectors, settings.index
        )
    return LiveIndex(
        collection=served.name,
        count=served.count,
        expected_count=len(dataset.documents),
        canaries=len(record["canaries"]),
        problem=problem,
        agreement=agreement.top10,
        queries=len(texts),
        losses=agreement.losses(),
    )
