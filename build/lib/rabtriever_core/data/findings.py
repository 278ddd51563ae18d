"""What a validation found, in lines for terminals and logs; from the metrics of its artifact."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

QUARANTINE = "quarantine.jsonl"
"""The rows that left the data set, in the artifact's folder."""


def broken_rules(metrics: Mapping[str, Any]) -> list[str]:
    """The rules that stop the chain, each with the first thing it found."""
    found = metrics.get("findings", {})
    return [f"{rule} ({found[rule]})" if rule in found else rule for rule in metrics["broken"]]


def findings(metrics: Mapping[str, Any], quarantine: Path) -> list[str]:
    """How many rows left the data set, why, and where they are; what was read in another layout.

    Args:
        metrics: of the stage validated_dataset.
        quarantine: the file with the rows that left.

    Returns:
        No line where every row stays as it was written.
    """
    lines = []
    if total := sum(metrics["quarantined"].values()):
        files = [
            f"{count} of {metrics['rows'][file]} in {file}"
            for file, count in metrics["quarantined"].items()
            if count
        ]
        lines.append(f"quarantined: {total} rows ({', '.join(files)}), see {quarantine}")
        examples = metrics.get("examples", {})
        for rule, count in metrics["reasons"].items():
            example = f", such as {examples[rule]}" if rule in examples else ""
            lines.append(f"  {rule}: {count}{example}")
    return lines + [f"read in another layout: {what}" for what in metrics.get("read_as", ())]
