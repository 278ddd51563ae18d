"""Stage: read every document once with the teacher, in shards that survive a kill.

What is stored is e_D, the teacher's state of a document. Predictor and gauge are applied where a
collection is built: training another student, or choosing other coordinates, embeds nothing again.
"""

import hashlib
import json
import logging
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from rabtriever_core.errors import ArtifactError
from rabtriever_core.index.reuse import Earlier, Reader, write_texts
from rabtriever_core.index.shards import shard_files, write_shards
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.stages.context import StageContext
from rabtriever_core.workspace.artifacts import load_artifact

if TYPE_CHECKING:
    from rabtriever_core.models.states import DocumentReader

logger = logging.getLogger(__name__)


def make(context: StageContext) -> dict[str, Any]:
    """Write embedding shards; returns document count, dimension, bytes and norms.

    Texts that the artifact here holds states of, from the same teacher, are not read again: the
    states are the same bits, and so is the artifact. How many were read, and in what time, is
    kept beside it (`Workspace.embedding_work`).

    Raises:
        VectorError: the teacher gave a state that is not finite; names the document.
    """
    settings, dataset = context.settings, context.dataset()
    teacher = context.inputs["teacher"]
    started = time.perf_counter()

    @cache
    def model() -> "DocumentReader":
        from rabtriever_core.models.states import DocumentReader

        return DocumentReader.load(teacher.folder, settings.runtime)

    maker = _maker(context)
    earlier = None if context.force else _earlier(context, maker)
    reader = Reader(lambda documents: model().states(documents), earlier)
    reader.check(dataset.documents)
    if reader.refused:
        logger.warning("every document is embedded anew: %s", reader.refused)
    write_shards(
        context.checkpoints,
        dataset.documents,
        reader,
        dimension=reader.earlier.documents.state_size if reader.earlier else model().dimension,
        shard_documents=settings.index.shard_documents,
    )
    written = StoredDocuments.open(context.checkpoints)
    norms = np.concatenate([np.linalg.norm(part, axis=1) for _, part in written.state_shards()])
    for path in shard_files(context.checkpoints):
        path.replace(context.output / path.name)
    write_texts(context.output, maker, dataset.documents)
    gone = set(reader.earlier.documents.ids) - set(written.ids) if reader.earlier else set()
    context.workspace.record_embedding_work(
        {
            "documents": len(written),
            "embedded": reader.embedded,
            "removed": len(gone),
            "seconds": round(time.perf_counter() - started, 3),
            "incremental": reader.earlier is not None,
            "refused": reader.refused,
        }
    )
    return {
        "documents": len(written),
        "dimension": written.state_size,
        "bytes": len(written) * written.state_size * np.dtype(np.float32).itemsize,
        "norm_min": round(float(norms.min()), 4),
        "norm_median": round(float(np.median(norms)), 4),
        "norm_max": round(float(norms.max()), 4),
    }


def _maker(context: StageContext) -> str:
    """Hash of all that a document's state depends on, its text apart."""
    from rabtriever_core.models.backbone import pick_device
    from rabtriever_core.models.precision import rounds_products

    runtime = context.settings.runtime
    device = pick_device(runtime)
    precision: str = runtime.precision
    if precision == "auto":
        precision = "tf32" if rounds_products(runtime, device) else "float32"
    parts = [
        context.inputs["teacher"].hash,
        precision,
        device,
        f"document_embeddings {context.version}",
        *(f"{name} {version(name)}" for name in ("torch", "transformers")),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _earlier(context: StageContext, maker: str) -> Earlier | None:
    folder = context.workspace.artifact("document_embeddings")
    # A damaged artifact is built again from the texts.
    with suppress(ArtifactError):
        return Earlier.read(load_artifact(folder).folder, maker)
    return None
