"""Stage: upload to a new physical collection, verify it, then switch the alias."""

import hashlib
import json
import logging
from typing import Any

from rabtriever_core.errors import ArtifactError, IndexMismatchError
from rabtriever_core.index.aliases import alias_target, prune, switch_alias
from rabtriever_core.index.canaries import check_canaries, choose_canaries
from rabtriever_core.index.collection import build_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.exactness import spread
from rabtriever_core.index.model_agreement import DEPTH, agreement_with_model
from rabtriever_core.index.quantization import warn_of_local_mode
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.shards import read_shards
from rabtriever_core.index.vectors import check_vectors
from rabtriever_core.index.verification import verify_collection
from rabtriever_core.stages.run import StageContext
from rabtriever_core.workspace import Workspace

logger = logging.getLogger(__name__)

RECORD = "collection.json"
_MAX_QUERIES = 500


def make(context: StageContext) -> dict[str, Any]:
    """Build, verify, switch, prune; writes collection.json and gauge, returns its figures.

    Raises:
        VectorError: a vector is unusable; nothing was created.
        IndexMismatchError: the collection is not whole or does not rank as the model does; the
            alias was not moved.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    settings, inputs, alias = context.settings, context.inputs, context.workspace.alias
    embeddings = inputs["document_embeddings"].folder
    tower = QueryTower.load(
        inputs["student"].folder,
        inputs["teacher"].folder,
        embeddings,
        settings.index,
        settings.runtime,
    )
    dataset = context.dataset()
    ids, vectors = read_shards(embeddings)
    if ids != [d.id for d in dataset.documents]:
        raise ArtifactError(
            f"{embeddings} holds other documents than the data set: "
            "materialize `document_embeddings` again"
        )
    check_vectors(vectors, tower.student.dimension, ids)
    stored = tower.gauge.documents(vectors)
    queries = dataset.split_queries(settings.dataset.dev_split)
    if not queries:
        raise IndexMismatchError(
            f"split {settings.dataset.dev_split!r} has no query with a relevant document: there "
            "is nothing to verify the collection with"
        )
    texts = [dataset.queries[q] for q in spread(queries, _MAX_QUERIES)]
    metadata = {
        "teacher": inputs["teacher"].hash,
        "student": inputs["student"].hash,
        "document_embeddings": inputs["document_embeddings"].hash,
        "dataset": inputs["validated_dataset"].meta.dataset,
        "gauge": tower.gauge.fingerprint,
        "quantization": settings.index.quantization,
    }
    if not settings.index.url:
        warn_of_local_mode(settings.index.quantization, settings.index.exact)
    with connect(settings.index, context.workspace.qdrant) as client:
        physical = build_collection(
            client,
            alias,
            _build_hash(context),
            dataset.documents,
            stored,
            metadata,
            settings.index.batch_size,
            settings.index.quantization,
        )
        verify_collection(
            client,
            physical,
            ids,
            tower.dimension,
            quantized=bool(settings.index.url) and settings.index.quantization != "none",
        )
        agreement = agreement_with_model(
            client, physical, tower, texts, dataset.documents, vectors, settings.index
        )
        if agreement.top10 < settings.gates.top10_agreement:
            raise IndexMismatchError(
                f"collection {physical} and the model agree on {agreement.top10:.4f} of the top "
                f"{DEPTH}, below gates.top10_agreement = {settings.gates.top10_agreement}; "
                f"{alias!r} was not moved. Delete the collection and materialize "
                "`document_embeddings` again"
            )
        canaries = choose_canaries(tower, spread(texts, settings.index.canaries), ids, stored)
        check_canaries(client, physical, tower, canaries)
        switch_alias(client, alias, physical)
        check_canaries(client, alias, tower, canaries)
        dropped = prune(client, alias, settings.index.keep_collections)
    logger.info("%s now serves %s; dropped %s", alias, physical, ", ".join(dropped) or "none")
    # The build number stays out: it depends on what Qdrant held before, not on the inputs.
    record = {
        "alias": alias,
        "collection": physical,
        "count": len(ids),
        "dimension": tower.dimension,
        "metadata": metadata,
        "mode": "server" if settings.index.url else "local",
        "top10_agreement": agreement.top10,
        **agreement.losses(),
        "canaries": canaries,
    }
    # What a query tower needs beside teacher and student, without the embeddings.
    tower.gauge.save(context.output)
    (context.output / RECORD).write_text(
        json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return record | {"canaries": len(canaries), "queries_compared": len(texts)}


def is_live(workspace: Workspace) -> bool:
    """Whether the alias serves the recorded collection with all its documents.

    Raises:
        IndexUnavailableError: Qdrant cannot be opened, so nobody knows.
    """
    path = workspace.artifact("qdrant_collection") / RECORD
    index = workspace.settings.index
    if not path.is_file() or not (index.url or workspace.qdrant.is_dir()):
        return False
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False  # a damaged artifact is built again
    with connect(index, workspace.qdrant) as client:
        target = alias_target(client, workspace.alias)
        if target is None or target != record["collection"]:
            return False
        return client.count(target, exact=True).count == int(record["count"])


def _build_hash(context: StageContext) -> str:
    parts = [
        context.inputs[name].hash
        for name in ("student", "document_embeddings", "validated_dataset")
    ]
    parts.append(context.settings.index.quantization)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
