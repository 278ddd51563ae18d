"""Further systems on the report's queries, beside what the report measured there."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.evaluation.benchmark import (
    corrected,
    measure_latency,
    rank_systems,
    sample,
    split_result,
)
from rabtriever_core.evaluation.metrics import most_left_out
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.schema import SYSTEM_LABELS, in_order
from rabtriever_core.lab.ablation.measure import ranker
from rabtriever_core.lab.baselines.rankers import baseline_rankers
from rabtriever_core.lab.baselines.systems import Chosen
from rabtriever_core.lab.baselines.training import train_baselines
from rabtriever_core.lab.results.measurements import measurement_markdown
from rabtriever_core.stages.registry import Stage
from rabtriever_core.stages.run import load_inputs
from rabtriever_core.workspace import Workspace, provenance
from rabtriever_core.workspace.artifacts import Artifact
from rabtriever_core.workspace.atomic import write_json, write_text

FILE = "baselines.json"
_MEASURED_WITH = Stage(
    "lab baselines", 1, "", ("validated_dataset", "teacher", "student", "benchmark_report"), ()
)
_SHOWN = ("R@1", "MRR@10", "nDCG@10")
_NOTE = (
    "Metrics and differences are in percent. Systems that train here start where the teacher "
    "starts and have its data, schedule and number of documents per query. p-values are of paired "
    "randomization tests of student or teacher against a system, in MRR@10, corrected (Holm) for "
    "all comparisons of this measurement. Seconds and milliseconds are of this machine; those of "
    "the report's systems were measured with the report."
)


def measure_baselines(workspace: Workspace, chosen: Chosen) -> Path:
    """Train and measure the chosen systems; writes `baselines.json` and `.md` among measurements.

    The report's rankings are read, not made again, so that its systems have the report's figures.

    Returns:
        The JSON file: title, note, rows; and `splits` and `training` as in `benchmark.json`.

    Raises:
        ArtifactError: the report, or what it was made from, is missing, damaged or does not fit.
        ConfigError: MiniLM is chosen and not installed.
    """
    inputs = load_inputs(workspace, _MEASURED_WITH)
    results = Results.read(workspace.root)
    artifacts = train_baselines(workspace, chosen)
    splits = _splits(workspace, chosen, inputs, results, artifacts)
    seconds = workspace.seconds()
    training = dict(results.benchmark.get("training") or {}) | {
        name: artifact.meta.metrics["budget"] | {"seconds": seconds[name]}
        for name, artifact in artifacts.items()
    }
    options = [f"--system={name}" for name in chosen.systems]
    options += [f"--learning-rate={name}={rate:g}" for name, rate in chosen.learning_rates.items()]
    options += [f"--temperature={chosen.temperature:g}"] if chosen.temperature != 1 else []
    name = results.benchmark["dataset"]["name"]
    found = {
        "title": f"Further baselines on {name}",
        "note": _NOTE,
        "dataset": name,
        "seed": workspace.settings.runtime.seed,
        "rows": list(_rows(splits, training)),
        "splits": splits,
        "training": training,
        "command": shlex.join(["rabtriever", "lab", "baselines", *options]),
        "machine": provenance.machine(),
    }
    path = workspace.measurements / FILE
    write_json(path, found)
    write_text(path.with_suffix(".md"), measurement_markdown(path, path.parent) + "\n")
    return path


def _splits(
    workspace: Workspace,
    chosen: Chosen,
    inputs: Mapping[str, Artifact],
    results: Results,
    artifacts: Mapping[str, Artifact],
) -> dict[str, Any]:
    """Every split with all systems, those of the report and the chosen ones."""
    settings = workspace.settings
    config, runtime = settings.benchmark, settings.runtime
    dataset = read_dataset(inputs["validated_dataset"].folder, settings.dataset.name)
    documents = dataset.documents
    # As the teacher: on what it ranked, so that the two are compared on equal terms.
    candidates = results.benchmark.get("teacher_candidates")
    retrieve = None
    further = most_left_out(dataset.left_out, dataset.queries)
    if candidates is not None and "linear_reranker" in chosen.systems:
        most = candidates + further
        retrieve = (ranker("student", dict(inputs), documents, runtime, most), most)
    depth = config.depth + further
    rankers = baseline_rankers(chosen, artifacts, documents, runtime, depth, retrieve)
    asked = {
        split: {query: dataset.queries[query] for query in queries}
        for split, queries in results.queries.items()
    }
    texts = [text for queries in asked.values() for text in queries.values()]
    latency = measure_latency(rankers, sample(texts, config.latency_queries, runtime.seed))
    splits = {}
    for split, queries in asked.items():
        stated = results.benchmark["splits"][split]["systems"]
        times = {
            name: {"median": stated[name]["ms_per_query"], "p95": stated[name].get("ms_p95")}
            for name in results.systems
        }
        runs = {name: results.run(split, name) for name in results.systems}
        splits[split] = split_result(
            dataset,
            split,
            runs | rank_systems(rankers, queries, dataset.left_out, config.depth),
            times | latency,
            permutations=config.permutations,
            seed=runtime.seed,
        )
    return corrected(splits)


def _rows(splits: Mapping[str, Any], training: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row per split and system, as a table shows them."""
    for split, result in splits.items():
        tests = {
            (row["a"], row["b"]): row for row in result["comparisons"] if row["metric"] == "MRR@10"
        }
        for name in in_order(result["systems"]):
            system = result["systems"][name]
            row: dict[str, Any] = {"system": SYSTEM_LABELS[name], "split": split}
            row |= {metric: round(100 * system["metrics"][metric], 1) for metric in _SHOWN}
            for own in ("student", "teacher"):
                test = tests.get((own, name))
                row[f"{own} − it"] = test and round(100 * test["difference"], 1)
                row[f"p, {own}"] = test and test["p_value_holm"]
            budget = training.get(name, {})
            row |= {key: budget.get(key) for key in ("steps", "pairs")}
            row["training s"] = budget.get("seconds") and round(budget["seconds"])
            yield row | {"ms per query": system["ms_per_query"]}
