"""What a stored data set says: systems over seeds, and whether the bars hold."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rabtriever_core.evaluation.benchmark import corrected
from rabtriever_core.evaluation.metrics import METRICS
from rabtriever_core.evaluation.schema import in_order
from rabtriever_core.lab.results.seeds import over_seeds
from rabtriever_core.lab.results.stored import QUERIES, StoredResults
from rabtriever_core.workspace.artifacts import file_md5
from rabtriever_core.workspace.atomic import write_json

STUDENT_SHARE, LEVEL = 0.97, 0.01
"""The bars: student's MRR@10 over the teacher's; corrected p of a difference."""
_SUMMARY = "summary.json"


def summarized(results: Sequence[StoredResults]) -> dict[str, Any]:
    """Systems over the seeds, as `over_seeds`; of a single seed its own intervals and tests.

    Kept in `summary.json` beside the seeds until one of their files changes.

    Raises:
        ArtifactError: the seeds differ in more than the seed.
    """
    folder = results[0].folder.parent
    digest = hashlib.sha256(file_md5(folder / QUERIES).encode())
    for each in results:
        for path in sorted(each.folder.glob("*.json")):
            digest.update(f"{each.folder.name}/{path.name} {file_md5(path)}\n".encode())
    path = folder / _SUMMARY
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("inputs") == digest.hexdigest():
            return kept
    summary = over_seeds(results) if len(results) > 1 else _one_seed(results[0])
    summary |= {"inputs": digest.hexdigest(), "costs": costs(results)}
    write_json(path, summary, indent=1)
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept


def bars(split: Mapping[str, Any]) -> dict[str, Any]:
    """The issue's bars on one split, from MRR@10.

    Returns:
        ratio (student over teacher), near_teacher; and for teacher and student against the
        bi-encoder: difference, p (corrected), outcome (above: p < 0.01; below: mean lower, with
        `clear` where p < 0.01; level otherwise).
    """
    mean = {name: system["MRR@10"]["mean"] for name, system in split["systems"].items()}
    ratio = mean["student"] / mean["teacher"] if mean["teacher"] else float("nan")
    against = {}
    for row in split["comparisons"]:
        if row["metric"] != "MRR@10" or row["b"] != "bi_encoder":
            continue
        clear = row["p_value_holm"] < LEVEL
        difference = row["difference"]
        outcome = "below" if difference < 0 else "above" if clear else "level"
        against[row["a"]] = {
            "difference": difference,
            "p": row["p_value_holm"],
            "clear": clear,
            "outcome": outcome,
        }
    return {"ratio": ratio, "near_teacher": ratio >= STUDENT_SHARE, "against": against}


def costs(results: Sequence[StoredResults]) -> dict[str, Any]:
    """System → training steps, pairs, seconds and milliseconds per query, means over the seeds."""
    found: dict[str, Any] = {}
    for system in in_order(results[0].systems):
        rows = [each.benchmark.get("training", {}).get(system, {}) for each in results]
        times = [
            split["systems"][system]["ms_per_query"]
            for each in results
            for split in each.benchmark["splits"].values()
            if "ms_per_query" in split["systems"][system]
        ]
        values = {
            key: [row[key] for row in rows if key in row] for key in ("steps", "pairs", "seconds")
        }
        found[system] = {key: float(np.mean(v)) for key, v in values.items() if v}
        if times:
            found[system]["ms_per_query"] = float(np.mean(times))
    return found


def _one_seed(results: StoredResults) -> dict[str, Any]:
    """The shape of `over_seeds` from a single run, without sd."""
    benchmark = results.benchmark
    facts = benchmark["dataset"]
    splits = {
        name: {
            "queries": len(results.queries[name]),
            "systems": {
                system: {
                    metric: {
                        "mean": split["systems"][system]["metrics"][metric],
                        "values": [split["systems"][system]["metrics"][metric]],
                        **_interval(split["systems"][system], metric),
                    }
                    for metric in METRICS
                }
                for system in results.systems
            },
            "comparisons": split["comparisons"],
        }
        for name, split in benchmark["splits"].items()
    }
    return {
        "seeds": [benchmark["seed"]],
        "dataset": {key: facts[key] for key in ("name", "fingerprint")},
        "splits": corrected(splits),
    }


def _interval(system: Mapping[str, Any], metric: str) -> dict[str, Any]:
    confidence = system.get("confidence") or {}
    return {"interval": confidence[metric]} if metric in confidence else {}
