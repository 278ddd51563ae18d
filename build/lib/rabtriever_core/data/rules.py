"""What a rule is, and what checking it finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pandas import DataFrame

EXAMPLES = 5


@dataclass(frozen=True)
class Rule:
    """One requirement, checked by one Great Expectations expectation."""

    name: str
    sentence: str
    """What must hold, as the page and validation.json say it."""
    expectation: type[Any]
    """Class of the expectation."""
    arguments: dict[str, Any]
    """Its arguments: columns and limits."""
    reason: str = ""
    """What is wrong with a broken row; `{column}` stands for the row's value. Empty for a rule
    over a whole table."""
    level: Literal["row", "set"] = "row"
    """`row`: a broken row is quarantined; `set`: the data set as a whole breaks the rule."""
    severity: Literal["error", "warning"] = "error"
    """A warning is counted and changes nothing."""

    @property
    def columns(self) -> list[str]:
        """Columns of the table that the expectation looks at."""
        names = ("column", "column_A", "column_B")
        return [self.arguments[name] for name in names if name in self.arguments]


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule on one table."""

    rule: Rule
    table: str
    passed: bool
    checked: int
    """Rows the rule was checked on."""
    broken: tuple[int, ...]
    """Positions of the broken rows."""
    examples: tuple[str, ...]
    """The first few places and reasons."""

    @property
    def quarantines(self) -> bool:
        """Whether its broken rows leave the data set."""
        return self.rule.level == "row" and self.rule.severity == "error"

    @property
    def stops(self) -> bool:
        """Whether nothing may run on this data set."""
        return self.rule.level == "set" and self.rule.severity == "error" and not self.passed

    @property
    def warns(self) -> bool:
        """Whether something was found that is only counted."""
        return self.rule.severity == "warning" and not self.passed

    def record(self) -> dict[str, Any]:
        """The rule's entry in validation.json; nothing in it varies between runs."""
        return {
            "name": self.rule.name,
            "table": self.table,
            "level": self.rule.level,
            "severity": self.rule.severity,
            "passed": self.passed,
            "checked": self.checked,
            "broken": len(self.broken) if self.rule.reason else int(not self.passed),
            "sentence": self.rule.sentence,
            "examples": list(self.examples),
        }


def reasons(rule: Rule, table: "DataFrame", positions: Iterable[int]) -> list[str]:
    """What is wrong with each of these rows."""
    rows = table.iloc[list(positions)].to_dict("records")
    return [rule.reason.format_map({str(name): row[name] for name in row}) for row in rows]


def sound(table: "DataFrame", results: Iterable[RuleResult]) -> "DataFrame":
    """The table without the rows that leave the data set."""
    broken = {position for result in results if result.quarantines for position in result.broken}
    keep = [position for position in range(len(table)) if position not in broken]
    return table.iloc[keep].reset_index(drop=True)
