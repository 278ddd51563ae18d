"""A plan's runs summarized: mean ± sd over seeds, tests against the first variant."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.significance import paired_test, with_holm
from rabtriever_core.lab.ablation.measure import reciprocal_ranks
from rabtriever_core.lab.ablation.plan import Plan
from rabtriever_core.lab.ablation.runs import RUNS
from rabtriever_core.workspace.provenance import in_words

TESTED_METRIC = "MRR@10"
_AGAIN = "delete it and run `rabtriever lab ablate` again"


def read_runs(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """The plan's results in a folder; those of variants that the plan no longer has are left out.

    Raises:
        ArtifactError: a file is damaged, or runs of a data set were measured on different queries
            or documents.
    """
    runs = []
    for path in sorted((folder / RUNS).glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            fits = run["variant"] in plan.variants and set(plan.systems) <= set(run["systems"])
            missing = {"dataset", "seed", "task", "artifacts"} - set(run)
            if missing:
                raise KeyError(", ".join(sorted(missing)))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{path} is damaged ({type(error).__name__}: {error}): {_AGAIN}"
            ) from None
        if fits:
            runs.append(run | {"file": path.name})
    tasks: dict[str, dict[str, Any]] = {}
    for run in runs:
        first = tasks.setdefault(run["dataset"]["name"], run)
        if first["task"] != run["task"]:
            raise ArtifactError(
                f"{run['file']} and {first['file']} in {folder / RUNS} were measured on different "
                "queries or documents: delete those of the older plan or data and run "
                "`rabtriever lab ablate` again"
            )
    return runs


def summarize(
    plan: Plan, runs: Sequence[dict[str, Any]], *, permutations: int = 10_000, seed: int = 17
) -> dict[str, Any]:
    """Mean and sd (of the sample, n − 1) over seeds, and tests.

    Tests are on RR@10 of the queries, averaged over the seeds that both variants have, and
    corrected (Holm) for all of the plan: variants, data sets and systems together. They speak for
    other queries of the kind, the sd for other seeds.

    Args:
        plan: what was varied; the first variant is what others are held to.
        runs: its results.
        permutations: resamples of the paired randomization tests.
        seed: of the resamples.

    Returns:
        plan, title, datasets: name → split, queries, documents, seeds, and variants: name → seeds,
        same_as (a variant with the same artifacts), systems: system → metric → mean, sd (absent of
        one seed), values; and `comparison` (difference, p_value, p_value_holm, seeds) but for the
        first; budget and settings that the variants share, and dev_sample, what the stages
        measured of the first variant themselves; commands, machines; mixed: what
        differs between runs that should not.
    """
    datasets: dict[str, Any] = {}
    tests: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for name in dict.fromkeys(run["dataset"]["name"] for run in runs):
        of_data = [run for run in runs if run["dataset"]["name"] == name]
        by_variant = {
            variant: {r["seed"]: r for r in of_data if r["variant"] == variant}
            for variant in plan.variants
        }
        rows: dict[str, Any] = {}
        for variant, by_seed in by_variant.items():
            if not by_seed:
                continue
            rows[variant] = {
                "seeds": sorted(by_seed),
                "systems": {s: _over_seeds(s, list(by_seed.values())) for s in plan.systems},
            }
            twin = _twin(variant, by_variant)
            if twin:
                rows[variant]["same_as"] = twin
        reference, *others = by_variant
        for variant in others:
            for system in plan.systems:
                row = _tested(
                    system, by_variant[variant], by_variant[reference], permutations, seed
                )
                if row is not None:
                    tests.append((rows[variant]["systems"][system], row))
        facts = of_data[0]
        datasets[name] = {
            "split": facts["split"],
            **{key: facts["dataset"][key] for key in ("queries", "documents", "fingerprint")},
            "seeds": sorted({run["seed"] for run in of_data}),
            "budget": facts["budget"],
            "settings": _common_settings(of_data),
            "dev_sample": _dev_sample(
                next(iter(r for r in by_variant.values() if r), {}).values(),
            ),
            "variants": rows,
        }
    corrected = with_holm([row for _, row in tests])
    for (cell, _), row in zip(tests, corrected, strict=True):
        kept = ("difference", "p_value", "p_value_holm", "seeds", "test")
        cell["comparison"] = {key: row[key] for key in kept}
    return {
        "plan": plan.name,
        "title": plan.title,
        "tested_metric": TESTED_METRIC,
        "datasets": datasets,
        "commands": sorted({run["command"] for run in runs}),
        "machines": sorted({in_words(run["machine"]) for run in runs}),
        "mixed": _mixed(runs),
    }


def _over_seeds(system: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for metric in METRICS:
        values = [run["systems"][system]["metrics"][metric] for run in runs]
        metrics[metric] = {"mean": float(np.mean(values)), "values": values}
        if len(values) > 1:
            metrics[metric]["sd"] = float(np.std(values, ddof=1))
    return metrics


def _tested(
    system: str,
    runs: dict[int, dict[str, Any]],
    reference: dict[int, dict[str, Any]],
    permutations: int,
    seed: int,
) -> dict[str, Any] | None:
    """The test of one cell against the reference's; None where no seed is in both."""
    seeds = sorted(set(runs) & set(reference))
    if not seeds:
        return None
    a, b = (
        np.mean([reciprocal_ranks(of[s]["systems"][system]["ranks"]) for s in seeds], axis=0)
        for of in (runs, reference)
    )
    values = [{f"{i:07}": float(v) for i, v in enumerate(each)} for each in (a, b)]
    return paired_test(
        ("variant", values[0]),
        ("first", values[1]),
        TESTED_METRIC,
        permutations=permutations,
        seed=seed,
    ) | {"seeds": seeds}


def _twin(variant: str, by_variant: dict[str, dict[int, dict[str, Any]]]) -> str | None:
    """An earlier variant whose artifacts are the same in all seeds that both have."""
    for other, runs in by_variant.items():
        if other == variant:
            return None
        both = set(runs) & set(by_variant[variant])
        if both and all(runs[s]["artifacts"] == by_variant[variant][s]["artifacts"] for s in both):
            return other
    return None


def _mixed(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Words for what differs between the runs of a plan and should not."""
    found = []
    for key in ("commit", "versions", "machine"):
        values = {json.dumps(run[key], sort_keys=True) for run in runs}
        if len(values) > 1:
            found.append(f"{len(values)} values of {key}")
    for dataset, variant in dict.fromkeys((r["dataset"]["name"], r["variant"]) for r in runs):
        settings = {
            json.dumps({k: v for k, v in run["settings"].items() if k != "runtime.seed"})
            for run in runs
            if run["dataset"]["name"] == dataset and run["variant"] == variant
        }
        if len(settings) > 1:
            found.append(f"{len(settings)} settings of {variant} on {dataset}")
    return found


def _dev_sample(runs: Iterable[dict[str, Any]]) -> dict[str, float]:
    """System → mean MRR@10 on the sample that every stage measures itself on after training."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for system, metrics in run["dev_sample"].items():
            values.setdefault(system, []).append(metrics["MRR@10"])
    return {system: float(np.mean(found)) for system, found in values.items()}


def _common_settings(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Settings other than the defaults that all runs of a data set share."""
    shared = dict(runs[0]["settings"])
    for run in runs:
        theirs = run["settings"]
        shared = {k: v for k, v in shared.items() if k in theirs and theirs[k] == v}
    return shared
