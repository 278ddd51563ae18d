"""What a training cost, in the same units for every system."""

from dataclasses import dataclass

from rabtriever_core.training.history import History


@dataclass(frozen=True)
class Budget:
    """Steps done, and what they met; a training of several phases is the sum of its phases."""

    steps: int
    queries: int
    """Training queries met, each as often as it was."""
    pairs: int
    """Pairs of a training query and a document drawn for it."""

    @classmethod
    def of(cls, history: History, *drawn: tuple[int, int]) -> "Budget":
        """The budget of one phase.

        Args:
            history: its loss curve, whose last row is the last step: where training stopped early,
                that is less than its schedule says.
            drawn: what a step draws, as (queries, documents for each of them).
        """
        steps = int(history[-1]["step"])
        return cls(
            steps,
            steps * sum(queries for queries, _ in drawn),
            steps * sum(queries * documents for queries, documents in drawn),
        )

    def __add__(self, other: "Budget") -> "Budget":
        return Budget(
            self.steps + other.steps, self.queries + other.queries, self.pairs + other.pairs
        )
