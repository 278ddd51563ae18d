"""Export of the query tower to ONNX: refused where it does not rank as torch (extra `onnx`)."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import ModelError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.integrations.export_folder import export_folder
from rabtriever_core.integrations.export_parity import PROBES
from rabtriever_core.integrations.onnx import (
    TOWER_FILE,
    Parity,
    Precision,
    QueryGraph,
    TowerInfo,
)
from rabtriever_core.integrations.onnx_graph import quantize_graph, query_side, write_graph
from rabtriever_core.integrations.served import as_workspace
from rabtriever_core.models.arrays import Floats
from rabtriever_core.models.probability import Calibration
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import SERVING_PARTS, release_index, release_runtime
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_md5s
from rabtriever_core.workspace.atomic import write_text

TOLERANCE = 1e-3
"""Largest difference of a margin that an export in float32 may have."""
AGREEMENT = 0.9
"""Least share of torch's ten best documents that an export in int8 must have among its own."""
_QUERIES, _DOCUMENTS = 64, 1000


def export_query_tower(
    workspace: Workspace | Path | str | None,
    folder: Path | str,
    *,
    release: Release | None = None,
    precision: Precision = "float32",
) -> TowerInfo:
    """Write the query tower of a release as a folder that needs neither torch nor transformers.

    The graph computes in float32, whatever the release computes in; the difference is measured. In
    int8 it is a quarter as large, answers faster on CPUs, and margins differ a little.

    Args:
        workspace: whose release; see `Retriever.open`.
        folder: to write; an earlier export there is replaced.
        release: which one; the served one where it is not given.
        precision: of the weights.

    Returns:
        What `tower.json` says, parity included.

    Raises:
        ConfigError: the extra `onnx` is not installed, or the folder holds something else.
        ModelError: in float32 margins differ by more than `TOLERANCE`, in int8 fewer than
            `AGREEMENT` of the ten best documents are the same, or the tokenizer has no fast form.
        ReleaseError: the release is not here, or not complete.
    """
    opened = as_workspace(workspace)
    release = release or served_now(opened)
    parts = check(opened, release, (*SERVING_PARTS, "document_embeddings", "validated_dataset"))
    served = release_runtime(opened, release)
    exact = served.model_copy(update={"precision": "float32", "device": "cpu"})

    def tower(runtime: RuntimeConfig) -> QueryTower:
        student, teacher, gauge = (
            parts[name] for name in ("student", "teacher", "qdrant_collection")
        )
        return QueryTower.load(student, teacher, gauge, release_index(opened, release), runtime)

    reference = tower(exact)
    stored = _stored(reference, parts["document_embeddings"])
    every = list(read_dataset(parts["validated_dataset"]).queries.values())
    queries = spread(every, _QUERIES)
    texts = [*PROBES, *queries]
    with export_folder(Path(folder), TOWER_FILE) as written:
        write_graph(reference, written)
        side = query_side(reference)

        def exported() -> QueryGraph:
            return QueryGraph(written, side, reference.dimension)

        error = largest_difference(exported(), reference, texts, stored)
        if not error <= TOLERANCE:
            raise _refused(release, f"margins differ by {error:.2g}, more than {TOLERANCE:g}")
        if precision == "int8":
            quantize_graph(written)
            error = largest_difference(exported(), reference, texts, stored)
        agreement = top_agreement(exported(), reference, queries, stored)
        if precision == "int8" and agreement < AGREEMENT:
            raise _refused(
                release,
                f"{agreement:.3f} of int8's ten best documents are the same, less than "
                f"{AGREEMENT:g}",
            )
        difference = error
        if served.precision != exact.precision:
            difference = largest_difference(exported(), tower(served), texts, stored)
        info = TowerInfo(
            release=release.id,
            collection=release.collection,
            gauge=reference.gauge.fingerprint,
            dimension=reference.dimension,
            precision=precision,
            query=side,
            calibration=Calibration.load(parts["calibration"]),
            parity=Parity(
                queries=len(texts),
                documents=len(stored),
                max_error=error,
                top10_agreement=agreement,
                served_precision=served.precision,
                served_difference=difference,
            ),
            versions={name: version(name) for name in ("rabtriever", "torch", "onnxruntime")},
            files=folder_md5s(written),
        )
        write_text(written / TOWER_FILE, info.model_dump_json(indent=2) + "\n")
    return info


def largest_difference(
    exported: QueryGraph, tower: QueryTower, texts: Sequence[str], stored: Floats
) -> float:
    """Of the margins of queries with stored vectors [m, k]; queries are read alone and together."""
    expected = tower.encode(texts).margins(stored)
    return max(
        float(np.abs(margins - expected).max())
        for margins in _alone_and_together(exported, texts, stored)
    )


def top_agreement(
    exported: QueryGraph, tower: QueryTower, queries: Sequence[str], stored: Floats
) -> float:
    """Share of the export's ten best of the stored vectors [m, k] that torch has among its own.

    The mean over queries, read alone or together, whichever agree less. A document that torch puts
    within `TOLERANCE` of its tenth counts as among them.
    """
    expected = tower.encode(queries).margins(stored)
    k = min(10, len(stored))
    least = -np.partition(-expected, k - 1, axis=1)[:, k - 1 : k] - TOLERANCE
    shares = []
    for margins in _alone_and_together(exported, queries, stored):
        best = np.argpartition(-margins, k - 1, axis=1)[:, :k]
        shares.append(float((np.take_along_axis(expected, best, axis=1) >= least).mean()))
    return min(shares)


def _alone_and_together(
    exported: QueryGraph, texts: Sequence[str], stored: Floats
) -> Iterator[Floats]:
    for size in (1, len(texts)):
        yield exported.encode(texts, batch_size=size).margins(stored)


def _refused(release: Release, problem: str) -> ModelError:
    return ModelError(
        f"release {release.id}: the exported tower ranks in another way than torch: {problem}; "
        "nothing was written: serve this backbone with torch"
    )


def _stored(tower: QueryTower, embeddings: Path) -> Floats:
    """Vectors as the collection holds them [m, k], of documents spread over the corpus."""
    documents = StoredDocuments.open(embeddings)
    return documents.stored(tower, spread(range(len(documents)), _DOCUMENTS))
