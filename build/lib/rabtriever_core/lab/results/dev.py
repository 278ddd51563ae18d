"""What trained systems measured of themselves on dev, and what was chosen there."""

from collections.abc import Mapping, Sequence
from typing import Any

from rabtriever_core.evaluation.schema import SYSTEM_LABELS
from rabtriever_core.lab.ablation.tables import table
from rabtriever_core.lab.results.stored import StoredResults
from rabtriever_core.report.wording import percent

SYSTEMS = ("bi_encoder", "teacher", "student")
_CHOSEN = ("start_share", "weights")


def on_dev(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Quality of each trained system on dev, and what its teacher was given there.

    Args:
        metrics: of the artifacts, by stage.
    """
    found: dict[str, Any] = {s: metrics[s]["dev"] for s in SYSTEMS if s in metrics}
    chosen = {name: metrics["teacher"][name] for name in _CHOSEN if name in metrics["teacher"]}
    return found | ({"chosen": chosen} if chosen else {})


def dev_markdown(results: Sequence[StoredResults]) -> str:
    """A row per seed; nothing where none was stored."""
    rows = []
    for each in results:
        found = each.benchmark.get("provenance", {}).get("dev")
        if not found:
            continue
        sample, chosen = found["teacher"], found.get("chosen", {})
        weights = chosen.get("weights", {})
        numbers = [chosen.get("start_share"), weights.get("cosine"), weights.get("reading")]
        rows.append(
            [
                str(each.benchmark["seed"]),
                *(f"{sample[name]:,}" for name in ("queries", "documents")),
                *(percent(found[s]["MRR@10"]) if s in found else "" for s in SYSTEMS),
                *("" if number is None else f"{number:.2f}" for number in numbers),
            ]
        )
    if not rows:
        return ""
    columns = ["seed", "dev queries", "documents", *(SYSTEM_LABELS[s] for s in SYSTEMS)]
    columns += ["share of the start", "weight of the cosine", "of reading"]
    return (
        "On dev, MRR@10, and what was chosen there for the teacher (weights are factors of what "
        "training left; where the documents are a sample, it is easier than the full pool):\n\n"
        + table(columns, rows)
    )
