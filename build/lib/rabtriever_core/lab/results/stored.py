"""A benchmark as it is stored: its numbers and, per query, the ranks of the right documents.

Texts and document ids stay out (data sets may not be passed on, and files stay small):

    <folder>/<data set>/queries.json          split → query ids, labels of their right documents
    <folder>/<data set>/seed-17/benchmark.json   the numbers, and where they come from
    <folder>/<data set>/seed-17/ranks.json       split → system → ranks

Ranks are one word per query in the order of the ids: for every right document its rank, or 0 beyond
ten, joined by commas. That is all that the metrics depend on.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.metrics import Run
from rabtriever_core.evaluation.results import RUN_DEPTH, JudgedQuery, Results
from rabtriever_core.workspace.atomic import write_json, write_text

BENCHMARK, RANKS, QUERIES = "benchmark.json", "ranks.json", "queries.json"
NOTE = "note.md"
"""What people say of all results, or of a data set's, beside them."""
_AGAIN = "delete it and add its workspace again"
_CURVES = ("curve", "curve_in_mix", "bins")
"""Points of the report's plots, most of a benchmark's bytes."""


@dataclass(frozen=True)
class StoredResults(Results):
    """A stored benchmark, to be compared and averaged like one in its workspace."""

    ranks: dict[str, dict[str, str]]
    """Split → system → ranks."""

    @classmethod
    def read(cls, path: Path) -> "StoredResults":
        """Open a seed's folder.

        Raises:
            ArtifactError: a file is missing or damaged, or the files do not fit together.
        """
        try:
            benchmark, ranks, queries = (
                json.loads(file.read_text(encoding="utf-8"))
                for file in (path / BENCHMARK, path / RANKS, path.parent / QUERIES)
            )
            judged = {
                split: {
                    query: _judged(labels)
                    for query, labels in zip(
                        queries[split]["ids"], queries[split]["labels"].split(), strict=True
                    )
                }
                for split in benchmark["splits"]
            }
            stored = cls(path, benchmark, judged, ranks)
            for split in benchmark["splits"]:
                for system in stored.systems:
                    if len(ranks[split][system].split()) != len(judged[split]):
                        raise ValueError(f"{system} on {split} has ranks of other queries")
        except FileNotFoundError as error:
            raise ArtifactError(f"no {error.filename}: {_AGAIN}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"{path} is damaged ({type(error).__name__}: {error}): {_AGAIN}"
            ) from None
        return stored

    def run(self, split: str, system: str) -> Run:
        """Rankings with the same right documents at the same ranks; other documents are unnamed."""
        words = self.ranks[split][system].split()
        return {
            query: _ranking([int(rank) for rank in word.split(",")])
            for query, word in zip(self.queries[split], words, strict=True)
        }


def store(results: Results, folder: Path, provenance: dict[str, Any]) -> Path:
    """Write a benchmark's small copy, and read it back to see that it gives the same numbers.

    Args:
        results: of a workspace.
        folder: of the data set.
        provenance: command, settings, versions, machine; kept in benchmark.json.

    Returns:
        The seed's folder.

    Raises:
        ArtifactError: the benchmark does not say its seed, or another seed's queries differ.
    """
    benchmark = results.benchmark
    if benchmark.get("seed") is None:
        raise ArtifactError(
            f"{results.folder} does not say its seed: run `rabtriever run benchmark_report` again"
        )
    queries = {
        split: {
            "ids": sorted(judged),
            "labels": " ".join(
                ",".join(str(judged[query].right[d]) for d in sorted(judged[query].right))
                for query in sorted(judged)
            ),
        }
        for split, judged in results.queries.items()
    }
    path = folder / QUERIES
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != queries:
        raise ArtifactError(
            f"{path} holds other queries or judgements than {results.folder}: seeds are compared "
            "on the same ones; use another --name for another benchmark of the data set"
        )
    ranks = {
        split: {system: _ranks(results, split, system) for system in results.systems}
        for split in benchmark["splits"]
    }
    seed = folder / f"seed-{benchmark['seed']}"
    write_text(path, _lines(queries))
    write_json(seed / RANKS, ranks, indent=1)
    content = _without_curves(benchmark) | {"provenance": provenance}
    write_json(seed / BENCHMARK, content, indent=1)
    stored = StoredResults.read(seed)
    for split in benchmark["splits"]:
        for system in results.systems:
            stored.values(split, system)
    return seed


def stored_datasets(folder: Path) -> dict[str, list[StoredResults]]:
    """Every stored data set with its seeds, in order.

    Raises:
        ArtifactError: a file is damaged.
    """
    found: dict[str, list[StoredResults]] = {}
    for path in sorted(folder.glob(f"*/seed-*/{BENCHMARK}")):
        found.setdefault(path.parent.parent.name, []).append(StoredResults.read(path.parent))
    for results in found.values():
        results.sort(key=lambda each: int(each.benchmark["seed"]))
    return found


def _ranks(results: Results, split: str, system: str) -> str:
    words = []
    run = results.run(split, system)
    for query in sorted(results.queries[split]):
        found = run.get(query, {})
        right = sorted(results.queries[split][query].right)
        words.append(",".join(str(int(-found[d])) if d in found else "0" for d in right))
    return " ".join(words)


def _judged(labels: str) -> JudgedQuery:
    right = {f"right-{i}": int(label) for i, label in enumerate(labels.split(","))}
    return JudgedQuery("", right, dict.fromkeys(right, ""))


def _ranking(ranks: list[int]) -> dict[str, float]:
    """Document → negated rank, all places filled down to the last that metrics look at."""
    run = {f"right-{i}": -float(rank) for i, rank in enumerate(ranks) if rank}
    taken = set(ranks)
    free = (rank for rank in range(1, RUN_DEPTH + 1) if rank not in taken)
    return run | {f"other-{rank}": -float(rank) for rank in free}


def _without_curves(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_curves(v) for k, v in value.items() if k not in _CURVES}
    return value


def _lines(queries: dict[str, Any]) -> str:
    """JSON with one line per split and kind: ids in thousands of lines help nobody."""
    rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in queries.items())
    return f"{{\n{rows}\n}}\n"
