"""Stage: encode every document once, in shards that survive a kill."""

from typing import Any

import numpy as np

from rabtriever_core.index.exactness import spread
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.index.shards import read_shards, shard_files, write_shards
from rabtriever_core.stages.run import StageContext


def make(context: StageContext) -> dict[str, Any]:
    """Write embedding shards and gauge; returns document count, dimensions, bytes and norms.

    The shards hold the student's vectors as they are; the gauge is applied on upload.

    Raises:
        VectorError: the student gave a vector that is not finite; names the document.
        ConfigError: index.gauge.dimensions is more than there are.
    """
    from rabtriever_core.models.retriever import Rabtriever

    settings, inputs, dataset = context.settings, context.inputs, context.dataset()
    student = Rabtriever.load(inputs["student"].folder, inputs["teacher"].folder, settings.runtime)
    write_shards(
        context.checkpoints,
        dataset.documents,
        student.encode_documents,
        dimension=student.dimension,
        shard_documents=settings.index.shard_documents,
    )
    ids, vectors = read_shards(context.checkpoints)
    for path in shard_files(context.checkpoints):
        path.replace(context.output / path.name)
    queries = None
    if settings.index.gauge.method == "balanced":
        texts = [dataset.queries[q] for q in dataset.split_queries(settings.dataset.train_split)]
        queries = student.encode_queries(
            spread(texts, settings.index.gauge.fit_queries), progress=True
        )
    gauge = Gauge.fit(settings.index.gauge, vectors, queries, settings.runtime.seed)
    gauge.save(context.output)
    norms = np.linalg.norm(vectors, axis=1)
    return {
        "documents": len(ids),
        "dimension": vectors.shape[1],
        "stored_dimension": gauge.dimension,
        "bytes": vectors.nbytes,
        "norm_min": round(float(norms.min()), 4),
        "norm_median": round(float(np.median(norms)), 4),
        "norm_max": round(float(norms.max()), 4),
    }
