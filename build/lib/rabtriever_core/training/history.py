"""The loss curve of a training, as a CSV file that DVC plots."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rabtriever_core.workspace.atomic import write_text

HISTORY_FILE = "history.csv"

History = list[dict[str, float]]
"""One row per logged step: step, loss, its parts, learning rate."""


def write_history(history: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the loss curve; rows may have different parts of a loss."""
    names = list(dict.fromkeys(name for row in history for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in history)
    write_text(folder / HISTORY_FILE, file.getvalue())


def read_history(folder: Path) -> History:
    """Read what `write_history` wrote."""
    with (folder / HISTORY_FILE).open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]
