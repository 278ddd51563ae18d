"""What gauge, dimensions and quantization cost on Qdrant's own engine, on a workspace's vectors."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rabtriever_core.config.gauge import GaugeConfig
from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.errors import ConfigError
from rabtriever_core.index.checks.exactness import TIE_TOLERANCE, spread
from rabtriever_core.index.engine import TURBO8_EXTRA_BYTES, Build, Search, run_engine
from rabtriever_core.index.gauge import Gauge
from rabtriever_core.index.query_tower import place
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.models.arrays import Floats
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import load_artifact

logger = logging.getLogger(__name__)

K = 10
_OVERSAMPLING = (4.0, 16.0)
BAR_BYTES, BAR_RECALL = 0.25, 0.99
"""What a smaller index should reach: this recall@10 at this share of the raw vectors' bytes."""


@dataclass(frozen=True)
class Variant:
    """One way to store vectors; its searches follow from the quantization."""

    name: str
    gauge: GaugeConfig
    build: Build = field(default_factory=Build)

    def searches(self) -> tuple[Search, ...]:
        """Unscored again, then with more and more candidates scored again.

        Rounded vectors are searched without the graph as well: what rounding alone costs.
        """
        plain = Search(k=K)
        if self.build.quantization == "none":
            rounded = self.build.datatype != "float32"
            return (plain, Search(k=K, exact=True)) if rounded else (plain,)
        return (plain, *(Search(k=K, rescore=True, oversampling=o) for o in _OVERSAMPLING))


def variants(dimension: int) -> list[Variant]:
    """Raw vectors, every gauge in full, fewer dimensions, smaller numbers, and their product."""
    half, quarter, eighth = (max(2, dimension // n) for n in (2, 4, 8))
    plain = GaugeConfig()
    int8, binary = Build(quantization="int8"), Build(quantization="binary")
    turbo8 = Build(datatype="turbo8")
    rows = [
        Variant("raw", plain),
        Variant("center, unequal norms", GaugeConfig(method="center", equal_norms=False)),
        Variant("center", GaugeConfig(method="center")),
        Variant("pca", GaugeConfig(method="pca")),
        Variant("whiten", GaugeConfig(method="whiten")),
        Variant("balanced, unequal norms", GaugeConfig(method="balanced", equal_norms=False)),
        Variant("balanced", GaugeConfig(method="balanced")),
    ]
    for label, kept in (("1/2", half), ("1/4", quarter), ("1/8", eighth)):
        rows += [
            Variant(f"pca {label}", GaugeConfig(method="pca", dimensions=kept)),
            Variant(f"balanced {label}", GaugeConfig(method="balanced", dimensions=kept)),
        ]
    spread_out = GaugeConfig(method="balanced", spread=True)
    spread_half = GaugeConfig(method="balanced", spread=True, dimensions=half)
    # A byte per dimension, and four per vector: together a quarter of float32.
    fitting = max(2, dimension - TURBO8_EXTRA_BYTES)
    return [
        *rows,
        Variant("raw", plain, Build(datatype="float16")),
        Variant(
            "balanced 1/2",
            GaugeConfig(method="balanced", dimensions=half),
            Build(datatype="float16"),
        ),
        Variant("raw", plain, turbo8),
        *(
            Variant(
                f"balanced {fitting}/{dimension}{'' if equal else ', unequal norms'}",
                GaugeConfig(method="balanced", dimensions=fitting, equal_norms=equal),
                turbo8,
            )
            for equal in (False, True)
        ),
        Variant("raw", plain, int8),
        Variant("balanced, spread", spread_out, int8),
        Variant("balanced 1/2, spread", spread_half, int8),
        Variant("raw", plain, binary),
        Variant("balanced, spread", spread_out, binary),
        Variant("balanced 1/2, spread", spread_half, binary),
    ]


def measure_workspace(workspace: Workspace, split: str, limit: int) -> dict[str, Any]:
    """Measure all variants on the workspace's student, documents and queries of a split.

    Gauges are fitted on the corpus and on training queries, whatever split is measured.

    Raises:
        ArtifactError: student, teacher or document embeddings are missing or damaged.
        ConfigError: the split has no judged queries.
        IndexUnavailableError: the engine is not installed.
    """
    from rabtriever_core.models.student import Student

    settings = workspace.settings
    validated = load_artifact(workspace.artifact("validated_dataset"))
    dataset = read_dataset(validated.folder, settings.dataset.name)
    wanted = dataset.split_queries(split) if split in dataset.qrels else []
    if not wanted:
        raise ConfigError(f"split {split!r} has no judged queries; there are {list(dataset.qrels)}")
    embeddings = load_artifact(workspace.artifact("document_embeddings")).folder
    student = Student.load(
        workspace.artifact("student"), workspace.artifact("teacher"), settings.runtime
    )

    def encode(ids: Sequence[str], most: int) -> Floats:
        return student.encode_queries([dataset.queries[id_] for id_ in spread(ids, most)])

    train = dataset.split_queries(settings.dataset.train_split)
    measured = measure(
        StoredDocuments.open(embeddings).vectors(student),
        encode(wanted, limit),
        encode(train, settings.index.gauge.fit_queries),
        seed=settings.runtime.seed,
    )
    return {"dataset": dataset.name, "split": split, **measured}


def measure(
    vectors: Floats,
    queries: Floats,
    fit_queries: Floats,
    chosen: Sequence[Variant] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure variants against the exact ranking by the student's own float32 vectors.

    Args:
        vectors: e_D [m, d].
        queries: φ [n, d] to rank with.
        fit_queries: φ of training queries.
        chosen: all variants where not given; the first is what times are compared with.
        seed: of the gauges.

    Returns:
        Counts, and `rows` of name, storage, search, dimensions, recall@10 and:
        `hot_bytes`, what a search reads of every candidate: the quantized vector, or else the
        stored one; `stored_bytes`, all vectors of a document, quantized and full; `graph_bytes`;
        the first two also as share of raw float32; `p50_ms` of a query, and its ratio to raw.
    """
    margins = queries.astype(np.float64) @ vectors.T
    rows: list[dict[str, Any]] = []
    for variant in chosen if chosen is not None else variants(vectors.shape[1]):
        logger.info("%s, %s, %s", variant.name, variant.build.datatype, variant.build.quantization)
        rows += _rows(variant, vectors, queries, fit_queries, margins, seed)
    raw_bytes = 4 * vectors.shape[1]
    for row in rows:
        row["hot_share"] = row["hot_bytes"] / raw_bytes
        row["stored_share"] = row["stored_bytes"] / raw_bytes
        row["p50_ratio"] = row["p50_ms"] / rows[0]["p50_ms"]
    return {
        "schema": 1,
        "documents": len(vectors),
        "dimension": vectors.shape[1],
        "queries": len(queries),
        "fit_queries": len(fit_queries),
        "raw_bytes": raw_bytes,
        "graph": {"m": Build().m, "ef_construct": Build().ef_construct, "ef": Search().ef},
        "bar": {
            "stored_share": BAR_BYTES,
            "recall@10": BAR_RECALL,
            # A header of a few bytes per file is not held against a variant.
            "reached_by": [
                label(row)
                for row in rows
                if row["stored_share"] <= BAR_BYTES + 1e-3 and row["recall@10"] >= BAR_RECALL
            ],
        },
        "rows": rows,
    }


def label(row: dict[str, Any]) -> str:
    """A row's storage and search in words."""
    parts = [row["name"], row["datatype"]]
    if row["quantization"] != "none":
        parts.append(row["quantization"])
        parts.append(f"rescored ×{row['oversampling']:g}" if row["rescore"] else "not rescored")
    if row.get("exact"):  # tables stored before such searches were measured do not say
        parts.append("no graph")
    return ", ".join(parts)


def _rows(
    variant: Variant,
    vectors: Floats,
    queries: Floats,
    fit_queries: Floats,
    margins: npt.NDArray[np.float64],
    seed: int,
) -> list[dict[str, Any]]:
    gauge = Gauge.fit(variant.gauge, vectors, fit_queries, seed)
    placed = place(gauge, queries, fill_range=variant.build.quantization == "int8")
    stored = gauge.documents(vectors)
    exact = np.argsort(-placed.margins(stored), axis=1, kind="stable")[:, :K]
    searches = variant.searches()
    measured = run_engine(stored, placed.vectors, variant.build, searches)
    sizes = measured.bytes_per_vector
    quantized = variant.build.quantization != "none"
    return [
        {
            "name": variant.name,
            "gauge": variant.gauge.model_dump(exclude={"fit_queries"}),
            "datatype": variant.build.datatype,
            "quantization": variant.build.quantization,
            "exact": search.exact,
            "rescore": search.rescore,
            "oversampling": search.oversampling,
            "dimensions": gauge.dimension,
            "recall@10": _recall(found.rows, margins),
            "recall@10 without graph": _recall(exact, margins),
            "hot_bytes": sizes["quantized"] if quantized else sizes["vectors"],
            "stored_bytes": sizes["quantized"] + sizes["vectors"],
            "graph_bytes": 0.0 if search.exact else sizes["graph"],
            "p50_ms": found.p50_ms,
        }
        for search, found in zip(searches, measured.searches, strict=True)
    ]


def _recall(rows: npt.NDArray[np.int64], margins: npt.NDArray[np.float64]) -> float:
    """Share of the best K by margins among the rows found; ties count, missing (-1) do not."""
    k = min(K, margins.shape[1])
    least = np.sort(margins, axis=1)[:, -k] - TIE_TOLERANCE * np.abs(margins).max(axis=1)
    reached = np.take_along_axis(margins, np.maximum(rows, 0), axis=1) >= least[:, None]
    return float(np.mean((reached & (rows >= 0)).sum(axis=1) / k))
