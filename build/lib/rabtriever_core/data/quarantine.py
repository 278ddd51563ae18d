"""Rows that leave the data set, and why."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.rules import RuleResult, reasons
from rabtriever_core.workspace.atomic import write_json_lines

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class BrokenRow:
    """One row and one rule it breaks."""

    file: str
    line: int
    row: Any
    """As it stands in the file: an object, or the columns of a qrels line."""
    rule: str
    reason: str


def broken_rows(table: "DataFrame", results: Iterable[RuleResult]) -> list[BrokenRow]:
    """What the rules found in a table."""
    found = []
    for result in results:
        if result.quarantines and result.broken:
            rows = table.iloc[list(result.broken)]
            columns = (rows["file"], rows["line"], rows["row"])
            why = reasons(result.rule, table, result.broken)
            for file, line, row, reason in zip(*columns, why, strict=True):
                found.append(BrokenRow(file, line, row, result.rule.name, reason))
    return found


def rows_per_file(broken: Iterable[BrokenRow]) -> dict[str, int]:
    """Quarantined rows per file; a row with several reasons counts once."""
    return dict(Counter(file for file, _ in {(row.file, row.line) for row in broken}))


def write_quarantine(broken: Iterable[BrokenRow], path: Path) -> None:
    """Write one line per quarantined row with all its reasons, sorted by file and line."""
    rows: dict[tuple[str, int], list[BrokenRow]] = defaultdict(list)
    for row in broken:
        rows[row.file, row.line].append(row)
    lines = [
        {"file": file, "line": line, "row": same[0].row, "reasons": [row.reason for row in same]}
        for (file, line), same in sorted(rows.items())
    ]
    write_json_lines(path, lines)
