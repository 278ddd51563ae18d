"""Stage: encode every document once, in shards that survive a kill."""

from typing import Any

import numpy as np

from rabtriever_core.index.shards import read_shards, shard_files, write_shards
from rabtriever_core.stages.run import StageContext


def make(context: StageContext) -> dict[str, Any]:
    """Write the embedding shards; returns document count, dimension, bytes and norms.

    Raises:
        VectorError: the student gave a vector that is not finite; names the document.
    """
    from rabtriever_core.models.retriever import Rabtriever

    settings, inputs = context.settings, context.inputs
    student = Rabtriever.load(inputs["student"].folder, inputs["teacher"].folder, settings.runtime)
    write_shards(
        context.checkpoints,
        context.dataset().documents,
        student.encode_documents,
        dimension=student.dimension,
        shard_documents=settings.index.shard_documents,
    )
    ids, vectors = read_shards(context.checkpoints)
    for path in shard_files(context.checkpoints):
        path.replace(context.output / path.name)
    norms = np.linalg.norm(vectors, axis=1)
    return {
        "documents": len(ids),
        "dimension": vectors.shape[1],
        "bytes": vectors.nbytes,
        "norm_min": round(float(norms.min()), 4),
        "norm_median": round(float(np.median(norms)), 4),
        "norm_max": round(float(norms.max()), 4),
    }
