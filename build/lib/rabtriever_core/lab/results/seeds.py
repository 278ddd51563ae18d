"""Several benchmarks that differ in their seed alone: mean ± sd, and tests on averaged queries."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.benchmark import PAIRS, compare_systems, corrected
from rabtriever_core.evaluation.comparison import check_same_data, check_same_queries
from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.significance import confidence_interval


def over_seeds(
    runs: Sequence[Results], *, permutations: int = 10_000, seed: int = 17
) -> dict[str, Any]:
    """Summarize runs of several seeds.

    The sd is the sample's (n − 1), of the means of the runs: how much training by chance matters.
    Intervals and tests are over queries, every query's value first averaged over the seeds: what
    these models, on average, would do on other queries of the kind. Neither speaks for the other:
    with few seeds, a difference well below the sd is not one of the method, whatever its p-value.

    Args:
        runs: two or more, of the same data and queries, each of another seed.
        permutations: resamples of the paired randomization tests.
        seed: of the resamples.

    Returns:
        seeds, dataset (name, fingerprint), splits: split → queries, systems: name → metric → mean,
        sd, values (per seed), interval (95%); comparisons, corrected for all of them together
        (Holm), each with `difference_per_seed`.

    Raises:
        ArtifactError: fewer than two runs, a seed missing or twice, other data, queries, splits
            or systems.
    """
    seeds = _seeds(runs)
    splits = {}
    for split in runs[0].benchmark["splits"]:
        for other in runs[1:]:
            check_same_queries(runs[0], other, split)
        values = {system: [run.values(split, system) for run in runs] for system in runs[0].systems}
        averaged = {
            system: {metric: _mean_per_query([v[metric] for v in each]) for metric in METRICS}
            for system, each in values.items()
        }
        means = {
            system: {metric: [_mean(v[metric]) for v in each] for metric in METRICS}
            for system, each in values.items()
        }
        splits[split] = {
            "queries": len(runs[0].queries[split]),
            "systems": {
                system: {
                    metric: {
                        "mean": float(np.mean(means[system][metric])),
                        "sd": float(np.std(means[system][metric], ddof=1)),
                        "values": means[system][metric],
                        "interval": confidence_interval(
                            list(averaged[system][metric].values()), seed=seed
                        ),
                    }
                    for metric in METRICS
                }
                for system in values
            },
            "comparisons": [
                row
                | {
                    "difference_per_seed": [
                        x - y
                        for x, y in zip(
                            means[row["a"]][row["metric"]],
                            means[row["b"]][row["metric"]],
                            strict=True,
                        )
                    ]
                }
                for row in compare_systems(averaged, permutations, seed)
            ],
        }
    facts = runs[0].benchmark["dataset"]
    return {
        "seeds": seeds,
        "dataset": {key: facts[key] for key in ("name", "fingerprint")},
        "splits": corrected(splits),
    }


def _seeds(runs: Sequence[Results]) -> list[int]:
    """The seeds, after checking that the runs differ in nothing else that can be seen."""
    if len(runs) < 2:
        raise ArtifactError(f"{len(runs)} runs given: mean and sd over seeds need at least two")
    seeds: list[int] = []
    for run in runs:
        seed = run.benchmark.get("seed")
        if seed is None:
            raise ArtifactError(
                f"{run.folder} does not say its seed: run `rabtriever run benchmark_report` again"
            )
        if seed in seeds:
            raise ArtifactError(
                f"{run.folder} has seed {seed}, and so has {runs[seeds.index(seed)].folder}: the "
                "same seed twice says nothing about chance; set runtime.seed for each run"
            )
        seeds.append(int(seed))
        check_same_data(runs[0], run)
        for kind, first, found in (
            ("splits", set(runs[0].benchmark["splits"]), set(run.benchmark["splits"])),
            ("systems", set(runs[0].systems), set(run.systems)),
        ):
            if first != found:
                raise ArtifactError(
                    f"{runs[0].folder} and {run.folder} have different {kind}: "
                    f"{', '.join(sorted(first ^ found))} in one of them only"
                )
    lacking = {name for pair in PAIRS for name in pair} - set(runs[0].systems)
    if lacking:
        raise ArtifactError(f"{runs[0].folder} has no {', '.join(sorted(lacking))} to compare")
    return seeds


def _mean_per_query(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {query: float(np.mean([v[query] for v in values])) for query in values[0]}


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))
