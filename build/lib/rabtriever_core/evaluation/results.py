"""A benchmark's files: the best of every query, and the queries; written, and read for comparing.

Beside `benchmark.json` lie `queries.jsonl` (text and right documents of every query) and
`runs/<split>-<system>.tsv` (ten documents per query), so that a copy of the folder is enough.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import Dataset, Qrels, check_ids, read_jsonl
from rabtriever_core.errors import ArtifactError, DatasetError
from rabtriever_core.evaluation.metrics import METRICS, Run, mean_values, per_query, ranking
from rabtriever_core.workspace.atomic import write_json_lines, write_text

RUN_DEPTH = 10
"""Documents per query in runs/*.tsv; no metric looks deeper."""

_QUERIES, _BENCHMARK, _RUNS = "queries.jsonl", "benchmark.json", "runs"
_HEADER = "query-id\tcorpus-id\trank\tscore"
_AGAIN = "run `rabtriever run benchmark_report --force` there"


@dataclass(frozen=True)
class JudgedQuery:
    """A query as the benchmark asked it."""

    text: str
    right: dict[str, int]
    """Right document → label."""
    titles: dict[str, str]
    """Right document → its title, or its text where it has none."""
    left_out: tuple[str, ...] = ()
    """Documents that its rankings leave out."""


@dataclass(frozen=True)
class Results:
    """What a benchmark left in its folder."""

    folder: Path
    benchmark: dict[str, Any]
    queries: dict[str, dict[str, JudgedQuery]]
    """Split → query id → query."""

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Open a reports folder, or the one of a workspace.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        folder = path if (path / _BENCHMARK).is_file() else path / "reports"
        if not (folder / _BENCHMARK).is_file():
            raise ArtifactError(
                f"no {_BENCHMARK} in {path} or {folder}: expected a workspace or its reports "
                "folder; `rabtriever run benchmark_report` writes one"
            )
        try:
            benchmark = json.loads((folder / _BENCHMARK).read_text(encoding="utf-8"))
            queries: dict[str, dict[str, JudgedQuery]] = {s: {} for s in benchmark["splits"]}
            fingerprint = benchmark["dataset"]["fingerprint"]
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{folder / _BENCHMARK} is damaged ({type(error).__name__}: {error}): {_AGAIN}"
            ) from None
        for split, query, judged in _judged(folder / _QUERIES, fingerprint):
            queries.setdefault(split, {})[query] = judged
        return cls(folder, benchmark, queries)

    @property
    def systems(self) -> list[str]:
        """Systems that are in every split."""
        splits = [split["systems"] for split in self.benchmark["splits"].values()]
        return [name for name in splits[0] if all(name in split for split in splits)]

    @cached_property
    def _cache(self) -> dict[tuple[str, str], Run]:
        return {}

    def run(self, split: str, system: str) -> Run:
        """A system's best documents of every query; the scores are ranks, negated.

        The written scores are rounded and may tie; the ranks are what was measured.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        if (split, system) not in self._cache:
            path = self.folder / _RUNS / f"{split}-{system}.tsv"
            run: Run = {}
            for query, document, rank in _run_rows(path):
                run.setdefault(query, {})[document] = -float(rank)
            self._cache[split, system] = run
        return self._cache[split, system]

    def values(self, split: str, system: str) -> dict[str, dict[str, float]]:
        """Metric → query → value in 0..1.

        Raises:
            ArtifactError: the rankings do not give the means that benchmark.json states.
        """
        qrels: Qrels = {query: judged.right for query, judged in self.queries[split].items()}
        if not qrels:
            raise ArtifactError(
                f"{self.folder / _QUERIES} has no queries of split {split!r}: {_AGAIN}"
            )
        values = per_query(qrels, self.run(split, system))
        stated = self.benchmark["splits"][split]["systems"][system]["metrics"]
        for metric, mean in mean_values(values).items():
            if abs(mean - stated[metric]) > 1e-5:
                raise ArtifactError(
                    f"{self.folder}: {metric} of {system} on {split} is {stated[metric]} in "
                    f"{_BENCHMARK} and {mean:.6f} by its rankings and {_QUERIES}: files of "
                    f"different runs are mixed; {_AGAIN}"
                )
        return {metric: values[metric] for metric in METRICS}


def write_runs(folder: Path, dataset: Dataset, runs: Mapping[str, Mapping[str, Run]]) -> None:
    """Write `runs/` and `queries.jsonl` beside benchmark.json.

    Args:
        folder: of the report.
        dataset: texts and judgements.
        runs: split → system → run; all systems of a split rank the same queries.

    Raises:
        DatasetError: a ranking cannot hold an id; nothing is written.
    """
    check_ids([document.id for document in dataset.documents], "document")
    check_ids(list(dataset.queries), "query")
    (folder / _RUNS).mkdir(parents=True, exist_ok=True)
    titles = {d.id: d.title or d.text for d in dataset.documents}
    left_out = dataset.left_out
    rows: list[dict[str, Any]] = [{"fingerprint": dataset.fingerprint}]
    for split, systems in runs.items():
        for name, run in systems.items():
            _write_run(run, folder / _RUNS / f"{split}-{name}.tsv")
        for query in sorted(next(iter(systems.values()))):
            labels = dataset.qrels[split][query]
            right = sorted(dataset.relevant(split, query))
            rows.append(
                {
                    "split": split,
                    "query": query,
                    "text": dataset.queries[query],
                    "right": [{"id": d, "label": labels[d], "title": titles[d]} for d in right],
                }
                | ({"left_out": sorted(left_out[query])} if query in left_out else {})
            )
    write_json_lines(folder / _QUERIES, rows)


def _write_run(run: Run, path: Path) -> None:
    """The best of every query: query, document, rank and score, separated by tabs."""
    lines = [_HEADER]
    for query, scores in run.items():
        for rank, document in enumerate(ranking(scores)[:RUN_DEPTH], 1):
            lines.append(f"{query}\t{document}\t{rank}\t{scores[document]:.6g}")
    write_text(path, "\n".join(lines) + "\n")


def _judged(path: Path, fingerprint: str) -> Iterator[tuple[str, str, JudgedQuery]]:
    """Rows of queries.jsonl: split, query id, query."""
    if not path.is_file():
        raise ArtifactError(
            f"no {path}: the report was written by an older version, or copied without it; {_AGAIN}"
        )
    try:
        rows = read_jsonl(path)
        _, first = next(rows)
        if first["fingerprint"] != fingerprint:
            raise ArtifactError(
                f"{path} is of another data set ({first['fingerprint'][:16]}…) than "
                f"{_BENCHMARK} ({fingerprint[:16]}…): {_AGAIN}"
            )
        for _, row in rows:
            labels = {right["id"]: int(right["label"]) for right in row["right"]}
            titles = {right["id"]: str(right["title"]) for right in row["right"]}
            away = tuple(map(str, row.get("left_out", ())))
            yield row["split"], row["query"], JudgedQuery(row["text"], labels, titles, away)
    except (DatasetError, StopIteration, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} is damaged ({type(error).__name__}: {error}): {_AGAIN}"
        ) from None


def _run_rows(path: Path) -> Iterator[tuple[str, str, int]]:
    """Rows of a run: query, document, rank."""
    if not path.is_file():
        raise ArtifactError(f"no {path}: {_AGAIN}")
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != 4 or not cells[2].isdecimal():
            raise ArtifactError(
                f"{path}, line {number}: expected query, document, rank and score separated by "
                f"tabs, got {line!r:.80}: {_AGAIN}"
            )
        yield cells[0], cells[1], int(cells[2])
