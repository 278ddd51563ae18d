"""A query tower written as a graph, measured beside torch, and refused where it ranks otherwise."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rabtriever_core.errors import ModelError
from rabtriever_core.index.checks.exactness import spread
from rabtriever_core.index.onnx.graph import quantize_graph, query_side, write_graph
from rabtriever_core.index.onnx.parity import (
    AGREEMENT,
    PROBES,
    TOLERANCE,
    largest_difference,
    top_agreement,
)
from rabtriever_core.index.onnx.reader import (
    TOWER_FILE,
    GraphInfo,
    Parity,
    Precision,
    QueryGraph,
)
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.precision import precision_of
from rabtriever_core.workspace.atomic import write_text

_QUERIES, _DOCUMENTS = 64, 1000
_MOST_BYTES = 2**30
"""Of weights that a release carries once more as a graph; a GPU serves what is larger anyway."""


def check_size(tower: QueryTower) -> None:
    """Refuse a model that no release should carry twice.

    Raises:
        ModelError: its graph would be too large.
    """
    size = 4 * sum(weights.numel() for weights in tower.student.query_encoder.model.parameters())
    if size > _MOST_BYTES:
        raise ModelError(
            f"the query encoder's graph would take {size / 1e9:.1f} GB in every release, more than "
            f"{_MOST_BYTES / 1e9:.1f} GB"
        )


def write_tower(
    tower: QueryTower,
    exact_tower: Callable[[], QueryTower],
    precision: Precision,
    queries: Sequence[str],
    embeddings: StoredDocuments,
    folder: Path,
) -> GraphInfo:
    """Write `tower.onnx`, `tokenizer.json` and `tower.json`.

    The graph computes in float32, whatever torch computes in for the release; that difference is
    measured too. In int8 it is a quarter as large, answers faster on CPUs, and margins differ a
    little.

    Args:
        tower: as the release computes it.
        exact_tower: loads it in float32 on the CPU, where it is not computed so.
        precision: of the graph's weights.
        queries: some of which are compared.
        embeddings: of the documents, some of which are compared.
        folder: empty.

    Raises:
        ModelError: in float32 margins differ by more than `TOLERANCE`, in int8 fewer than
            `AGREEMENT` of the ten best documents are the same, the tokenizer has no fast form, or
            torch cannot export the model.
    """
    encoder = tower.student.query_encoder
    computed = precision_of(encoder.model.dtype, encoder.device)
    on_cpu = encoder.device.type == "cpu"
    exact = tower if on_cpu and computed == "float32" else exact_tower()
    write_graph(exact, folder)
    side = query_side(exact)
    asked = spread(queries, _QUERIES)
    documents = embeddings.stored(exact, spread(range(len(embeddings)), _DOCUMENTS))
    texts = [*PROBES, *asked]

    def graph() -> QueryGraph:
        return QueryGraph(folder, side, exact.dimension)

    error = largest_difference(graph(), exact, texts, documents)
    if not error <= TOLERANCE:
        raise _refused(f"margins differ by {error:.2g}, more than {TOLERANCE:g}")
    if precision == "int8":
        quantize_graph(folder)
        error = largest_difference(graph(), exact, texts, documents)
    agreement = top_agreement(graph(), exact, asked, documents)
    if precision == "int8" and agreement < AGREEMENT:
        raise _refused(
            f"{agreement:.3f} of int8's ten best documents are the same, less than {AGREEMENT:g}"
        )
    info = GraphInfo(
        gauge=exact.gauge.fingerprint,
        dimension=exact.dimension,
        precision=precision,
        query=side,
        parity=Parity(
            queries=len(texts),
            documents=len(documents),
            max_error=error,
            top10_agreement=agreement,
            served_precision=computed,
            served_difference=error
            if exact is tower
            else largest_difference(graph(), tower, texts, documents),
        ),
    )
    write_text(folder / TOWER_FILE, info.model_dump_json(indent=2) + "\n")
    return info


def _refused(problem: str) -> ModelError:
    return ModelError(
        f"the exported query tower ranks in another way than torch: {problem}; nothing was "
        "written: serve this model with torch (index.query_tower: torch)"
    )
