"""Rules about a version of the data against the one before, checked with Great Expectations."""

from typing import TYPE_CHECKING, Any

from rabtriever_core.config import ChangesConfig
from rabtriever_core.data.changes import Changes
from rabtriever_core.data.dataset import Dataset
from rabtriever_core.data.expectations import ExpectationRun
from rabtriever_core.data.rules import Rule, RuleResult

if TYPE_CHECKING:
    from pandas import DataFrame


def check_changes(
    changes: Changes,
    scores: float | None,
    dataset: Dataset,
    train: str,
    config: ChangesConfig,
) -> list[RuleResult]:
    """Check the changes against their bounds.

    Args:
        changes: of the version against the one before.
        scores: drift of the served student's scores; None where none is served.
        dataset: the version.
        train: its training split.
        config: the bounds.
    """
    run = ExpectationRun(f"{dataset.name} changes")
    figures = change_table(changes, scores)
    results = run.check("changes", figures, change_suite(config, with_scores=scores is not None))
    queries = training_table(changes, dataset, train)
    return results + run.check("training_queries", queries, leak_suite(config))


def change_table(changes: Changes, scores: float | None) -> "DataFrame":
    """One row of all figures that have a bound."""
    from pandas import DataFrame

    return DataFrame(
        [
            {
                "place": "this version",
                "removed": max(rows.removed_share for rows in changes.rows.values()),
                "lengths": max(changes.lengths.values()),
                "words": max(changes.words.values()),
                "unseen": max(changes.unseen.values()),
                "labels": changes.labels,
                "answers": changes.answers,
                "scores": scores or 0.0,
            }
        ]
    )


def change_suite(config: ChangesConfig, *, with_scores: bool) -> list[Rule]:
    """A rule per bound."""
    import great_expectations.expectations as gxe

    bounds: dict[str, tuple[str, float, str]] = {
        "removed": ("removed_rows", config.max_removed_share, "of a table's rows are gone"),
        "lengths": ("lengths_alike", config.max_length_drift, "is the drift of text lengths"),
        "words": ("words_alike", config.max_word_drift, "is the drift of word frequencies"),
        "unseen": ("words_known", config.max_unseen_share, "of the running words are new"),
        "labels": ("labels_alike", config.max_label_drift, "is the drift of the labels"),
        "answers": ("answers_alike", config.max_label_drift, "is the drift of right documents"),
        "scores": ("scores_alike", config.max_score_drift, "is the drift of the served scores"),
    }
    if not with_scores:
        del bounds["scores"]
    return [
        Rule(
            name,
            f"At most {bound:.1%} {what}, against the version before.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": column, "max_value": bound},
            f"{{{column}:.1%}} {what}",
            level="set",
            severity="error" if column == "removed" else "warning",
        )
        for column, (name, bound, what) in bounds.items()
    ]


def training_table(changes: Changes, dataset: Dataset, train: str) -> "DataFrame":
    """One row per training query: where it was evaluated before."""
    from pandas import DataFrame

    rows: list[dict[str, Any]] = [
        {
            "place": f"{train} {query}",
            "id": query,
            "evaluated_before": changes.leaked.get(query, ""),
        }
        for query in dataset.qrels.get(train, {})
    ]
    return DataFrame(rows, columns=["place", "id", "evaluated_before"]).astype(
        {"evaluated_before": object}
    )


def leak_suite(config: ChangesConfig) -> list[Rule]:
    """No test query becomes a training query: all figures measured on it would be worth nothing."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "test_queries_stay_unseen",
            "No training query was evaluated in the version before.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "evaluated_before", "value_set": [""]},
            "query {id!r}, or one of its text, was in {evaluated_before} before",
            level="set",
            severity="error" if config.leaked_queries == "stop" else "warning",
        )
    ]
