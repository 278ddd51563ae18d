"""Reports folders with rankings made on the spot."""

import json
from pathlib import Path

import numpy as np

from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.evaluation.metrics import METRICS, Run, mean_values, per_query
from rabtriever_core.evaluation.results import Results, write_runs
from rabtriever_core.evaluation.schema import SYSTEMS

HOSTILE = "<script>alert(1)</script> [bold red]\x1b[31mred"
DATASET = Dataset(
    "small",
    tuple(Document(f"d{i:02}", f"text {i}", f"Title {i}" if i % 2 else "") for i in range(15)),
    {f"q{i:02}": f"query {i} {HOSTILE}" for i in range(24)},
    {
        "test": {f"q{i:02}": {f"d{i % 15:02}": 1, f"d{(i + 1) % 15:02}": i % 2} for i in range(16)},
        "test_2": {f"q{i:02}": {f"d{i % 15:02}": 2} for i in range(16, 24)},
    },
)


def ranked(rank: int, right: str) -> dict[str, float]:
    """Scores of all documents that put one at a rank (from 1)."""
    others = [d.id for d in DATASET.documents if d.id != right]
    order = [*others[: rank - 1], right, *others[rank - 1 :]]
    # Closer than the six digits that are written.
    return {document: 1.0 - 1e-9 * place for place, document in enumerate(order)}


def made_runs(seed: int) -> dict[str, dict[str, Run]]:
    """Split → system → run; the student is better than the bi-encoder, BM25 hopeless."""
    rng = np.random.default_rng(seed)
    deepest = {"bm25": 15, "bi_encoder": 6, "teacher": 2, "student": 3}
    return {
        split: {
            system: {
                query: ranked(int(rng.integers(1, deepest[system] + 1)), next(iter(labels)))
                for query, labels in qrels.items()
            }
            for system in SYSTEMS
        }
        for split, qrels in DATASET.qrels.items()
    }


def write(
    folder: Path,
    runs: dict[str, dict[str, Run]],
    dataset: Dataset = DATASET,
    seed: int | None = None,
) -> Results:
    """A reports folder of these runs, read back."""
    folder.mkdir(parents=True)
    write_runs(folder, dataset, runs)
    splits = {}
    for split, systems in runs.items():
        qrels = {q: dataset.qrels[split][q] for q in systems["student"]}
        splits[split] = {
            "systems": {
                name: {"metrics": {m: round(v, 6) for m, v in means.items() if m in METRICS}}
                for name, means in (
                    (name, mean_values(per_query(qrels, run))) for name, run in systems.items()
                )
            }
        }
    facts = {"name": dataset.name, "fingerprint": dataset.fingerprint}
    content = {"schema": 1, "dataset": facts, "splits": splits} | (
        {} if seed is None else {"seed": seed}
    )
    (folder / "benchmark.json").write_text(json.dumps(content))
    return Results.read(folder)
