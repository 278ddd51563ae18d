"""The row-level suites in order: what stays, what leaves, and why."""

from typing import TYPE_CHECKING

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data import overlap, suites
from rabtriever_core.data.expectations import ExpectationRun
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.data.quarantine import BrokenRow, broken_rows
from rabtriever_core.data.raw import RawTables
from rabtriever_core.data.rules import Rule, RuleResult, sound
from rabtriever_core.data.set_suites import CleanTables

if TYPE_CHECKING:
    from pandas import DataFrame


def check_rows(
    run: ExpectationRun, raw: RawTables, dataset: DatasetConfig, config: ValidationConfig
) -> tuple[CleanTables, list[BrokenRow], list[RuleResult]]:
    """Check row by row, each table against what is left of the ones before it.

    Returns:
        The rows that stay, the rows that leave (once per broken rule), and every rule's result.
    """
    results: list[RuleResult] = []
    broken: list[BrokenRow] = []

    def check(name: str, table: "DataFrame", rules: list[Rule]) -> "DataFrame":
        found = run.check(name, table, rules)
        results.extend(found)
        broken.extend(broken_rows(table, found))
        return sound(table, found)

    corpus = check("corpus", suites.corpus_columns(raw.corpus), suites.corpus_suite(config))
    queries = check("queries", suites.query_columns(raw.queries), suites.query_suite(config))
    judgements = suites.judgement_columns(
        raw.judgements, (raw.corpus, raw.queries), (corpus, queries)
    )
    judgements = check("judgements", judgements, suites.judgement_suite(config))
    columns = suites.split_columns(
        judgements, overlap.normalised_texts(queries), dataset.train_split
    )
    judgements = check("splits", columns, suites.split_suite(config))
    judgements = judgements.assign(label=judgements["label"].astype(int))
    repeated = _repeated_queries(columns, judgements, queries, config)
    broken.extend(repeated)
    gone = {(row.file, row.line) for row in repeated}
    judged = set(judgements["query"])
    columns_ = (queries[name] for name in ("file", "line", "id"))
    # Feedback is a query and its judgement in one row: without the one, the other leaves, too.
    stays = [
        (file, line) not in gone and (file != FEEDBACK or id_ in judged)
        for file, line, id_ in zip(*columns_, strict=True)
    ]
    queries = queries.loc[stays].reset_index(drop=True)
    return CleanTables(corpus, queries, judgements, raw.splits), broken, results


def _repeated_queries(
    before: "DataFrame", after: "DataFrame", queries: "DataFrame", config: ValidationConfig
) -> list[BrokenRow]:
    """Queries whose every judgement left as a repetition (or leak)."""
    if config.duplicate_queries == "warn":
        return []
    repeated = before[before["repeats"] != ""]
    earlier = dict(zip(repeated["query"], repeated["repeats"], strict=True))
    judged = set(after["query"])
    columns = (queries[name] for name in ("id", "file", "line", "row"))
    return [
        BrokenRow(
            file,
            line,
            row,
            "query_not_repeated",
            f"duplicate query: same text and labels as {earlier[id_]}, and judged nowhere else",
        )
        for id_, file, line, row in zip(*columns, strict=True)
        if id_ in earlier and id_ not in judged
    ]
