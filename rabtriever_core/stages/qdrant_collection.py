"""Stage: a new physical collection, and what asks it; serving it is the business of a release."""

import json
import logging
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Dataset
from rabtriever_core.errors import IndexMismatchError, ModelError
from rabtriever_core.index.build import Source, build_and_verify, build_hash
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.connection import connect
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.index.lexical import Lexical, hashes
from rabtriever_core.index.onnx.reader import FOLDER, QueryGraph
from rabtriever_core.index.onnx.write import check_size, write_tower
from rabtriever_core.index.quantization import warn_of_local_mode
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.bm25_vectors import TermVectors
from rabtriever_core.models.precision import exact_runtime
from rabtriever_core.stages.context import StageContext
from rabtriever_core.stages.hybrid import bm25_choice
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.atomic import write_json

if TYPE_CHECKING:
    from rabtriever_core.models.student import Student

logger = logging.getLogger(__name__)

RECORD = "collection.json"
_MAX_QUERIES = 500


def make(context: StageContext) -> dict[str, Any]:
    """Fit the gauge, build and verify; writes collection.json, gauge and query tower.

    Returns its figures.

    Raises:
        VectorError: a vector is unusable; nothing was created.
        IndexMismatchError: the collection is not whole or does not rank as the model does.
        IndexUnavailableError: Qdrant cannot be opened.
        ConfigError: index.gauge.dimensions is more than there are.
    """
    from rabtriever_core.models.student import Student

    settings, inputs, alias = context.settings, context.inputs, context.workspace.alias
    dataset = context.dataset()
    student = Student.load(inputs["student"].folder, inputs["teacher"].folder, settings.runtime)
    embeddings = StoredDocuments.open(inputs["document_embeddings"].folder)
    vectors = embeddings.vectors(student)
    gauge = _gauge(settings, dataset, student, vectors)
    tower = QueryTower.of(student, gauge, settings.index)
    queries = dataset.split_queries(settings.dataset.dev_split)
    if not queries:
        raise IndexMismatchError(
            f"split {settings.dataset.dev_split!r} has no query with a relevant document: there "
            "is nothing to verify the collection with"
        )
    texts = [dataset.queries[q] for q in spread(queries, _MAX_QUERIES)]
    graph = _write_graph(context, tower, embeddings, texts)
    lexical, choice = _lexical(settings, dataset, student, vectors)
    metadata = {
        "teacher": inputs["teacher"].hash,
        "student": inputs["student"].hash,
        "document_embeddings": inputs["document_embeddings"].hash,
        "dataset": inputs["validated_dataset"].meta.dataset,
        "gauge": tower.gauge.fingerprint,
        "quantization": settings.index.quantization,
        **hashes(lexical),
    }
    if not settings.index.url:
        warn_of_local_mode(settings.index.quantization, settings.index.exact)
    with connect(settings.index, context.workspace.qdrant) as client:
        built = build_and_verify(
            client,
            alias,
            build_hash(
                {name: artifact.hash for name, artifact in inputs.items()},
                tower.gauge.fingerprint,
                settings.index.quantization,
                lexical,
            ),
            Source(
                tower,
                QueryGraph.beside(context.output, settings.runtime.threads) or tower,
                dataset.documents,
                embeddings,
                texts,
                lexical,
            ),
            metadata,
            settings.index,
            settings.gates.top10_agreement,
        )
    logger.info("%s is built and verified; %s serves what it did", built.collection, alias)
    # The build number stays out: it depends on what Qdrant held before, not on the inputs.
    record = {
        "alias": alias,
        "collection": built.collection,
        "count": len(embeddings),
        "dimension": tower.dimension,
        "metadata": metadata,
        "mode": "server" if settings.index.url else "local",
        "top10_agreement": built.agreement.top10,
        **built.agreement.losses(),
        "query_tower": graph,
        **choice,
        "probe_queries": built.probes,
    }
    # What a query tower needs beside teacher and student, without the embeddings.
    tower.gauge.save(context.output)
    if lexical is not None:
        lexical.save(context.output)
    write_json(context.output / RECORD, record)
    return record | {"probe_queries": len(built.probes), "queries_compared": len(texts)}


def _write_graph(
    context: StageContext, tower: QueryTower, embeddings: StoredDocuments, texts: list[str]
) -> dict[str, Any]:
    """Write what encodes queries in service; says how it compares, or why torch does it."""
    from rabtriever_core.models.student import Student

    settings, inputs = context.settings, context.inputs
    if settings.index.query_tower == "torch":
        return {"form": "torch", "why": "index.query_tower is torch"}
    exact = exact_runtime(settings.runtime)
    folder = context.output / FOLDER
    folder.mkdir()
    try:
        check_size(tower)
        info = write_tower(
            tower,
            lambda: QueryTower.of(
                Student.load(inputs["student"].folder, inputs["teacher"].folder, exact),
                tower.gauge,
                settings.index,
            ),
            "int8" if settings.index.query_tower == "onnx-int8" else "float32",
            texts,
            embeddings,
            folder,
        )
    except ModelError as error:
        shutil.rmtree(folder)
        logger.warning("queries will be encoded by torch: %s", error)
        return {"form": "torch", "why": str(error)}
    return {"form": settings.index.query_tower, **info.parity.model_dump()}


def _gauge(settings: Settings, dataset: Dataset, student: "Student", vectors: np.ndarray) -> Gauge:
    config, queries = settings.index.gauge, None
    if config.method == "balanced":
        texts = [dataset.queries[q] for q in dataset.split_queries(settings.dataset.train_split)]
        queries = student.encode_queries(spread(texts, config.fit_queries), progress=True)
    return Gauge.fit(config, vectors, queries, settings.runtime.seed)


def _lexical(
    settings: Settings, dataset: Dataset, student: "Student", vectors: np.ndarray
) -> tuple[Lexical | None, dict[str, Any]]:
    """BM25 as the setting wants it, and what the record says of it; nothing where it is off."""
    weight = settings.index.bm25_weight
    if weight == 0:
        return None, {}
    index = Bm25.fit(dataset.documents, dataset.language)
    choice: dict[str, Any] = {"weight": weight}
    if weight == "auto":
        choice = bm25_choice(dataset, settings, student, vectors, index)
        weight = float(choice["weight"])
    if not weight:
        return None, {"bm25": choice}
    words = TermVectors.of(index)
    return Lexical.of(words, weight), {"bm25": choice, "bm25_terms": len(words.weights)}


def is_live(workspace: Workspace) -> bool:
    """Whether Qdrant holds the recorded collection, for this alias and with all its documents.

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
    if record["alias"] != workspace.alias:
        return False
    with connect(index, workspace.qdrant) as client:
        if not client.collection_exists(record["collection"]):
            return False
        return client.count(record["collection"], exact=True).count == int(record["count"])
