"""Rules about the whole data set, checked on what is left after quarantine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rabtriever_core.config import DatasetConfig, ValidationConfig
from rabtriever_core.data import overlap
from rabtriever_core.data.layouts import Noted
from rabtriever_core.data.raw import qrels_file
from rabtriever_core.data.rules import Rule

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class CleanTables:
    """The rows that stay."""

    corpus: "DataFrame"
    queries: "DataFrame"
    judgements: "DataFrame"
    """Labels are integers here."""
    splits: tuple[str, ...]


def document_columns(clean: CleanTables) -> "DataFrame":
    """Add what the documents suite looks at."""
    corpus = clean.corpus
    full = [f"{title} {text}" for title, text in zip(corpus["title"], corpus["text"], strict=True)]
    relevant = clean.judgements.loc[clean.judgements["label"] > 0, "document"]
    return corpus.assign(
        same_text_as=overlap.earlier_same_text(corpus["id"], full),
        relevant=corpus["id"].isin(set(relevant)),
    ).astype({"same_text_as": object})


def document_suite(config: ValidationConfig) -> list[Rule]:
    """Rules for the pool of documents."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "enough_documents",
            f"There are at least {config.min_documents} documents.",
            gxe.ExpectTableRowCountToBeBetween,
            {"min_value": config.min_documents},
            level="set",
        ),
        Rule(
            "document_texts_differ",
            "No two documents have the same text.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "same_text_as", "value_set": [""]},
            "document {id!r} has the same text as {same_text_as!r}",
            level="set",
            severity="warning",
        ),
        Rule(
            "documents_relevant_somewhere",
            "Every document is relevant to some query.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "relevant", "value_set": [True]},
            "document {id!r} is relevant to no query",
            level="set",
            severity="warning",
        ),
    ]


def asked_columns(clean: CleanTables, texts: dict[str, str], train: str) -> "DataFrame":
    """Add what the asked-queries suite looks at (`texts`: query id → normalised text)."""
    ids = clean.queries["id"]
    ambiguous = overlap.ambiguities(clean.judgements, texts)
    shared = overlap.shared_evaluation_texts(clean.judgements, texts, train)
    return clean.queries.assign(
        judged=ids.isin(set(clean.judgements["query"])),
        same_text_as=[ambiguous.get(id_, "") for id_ in ids],
        evaluated_in=[shared.get(id_, "") for id_ in ids],
    ).astype({"same_text_as": object, "evaluated_in": object})


def asked_suite() -> list[Rule]:
    """Rules for the queries as a whole."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "queries_judged",
            "Every query has a judgement.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "judged", "value_set": [True]},
            "query {id!r} has no judgement",
            level="set",
            severity="warning",
        ),
        Rule(
            "query_texts_unambiguous",
            "Queries of a split with the same text have the same labels.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "same_text_as", "value_set": [""]},
            "query {id!r} has the text of {same_text_as} and other labels",
            level="set",
            severity="warning",
        ),
        Rule(
            "evaluation_splits_apart",
            "No query text is judged in two splits that are not for training.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "evaluated_in", "value_set": [""]},
            "the text of query {id!r} is judged in {evaluated_in}",
            level="set",
            severity="warning",
        ),
    ]


def split_table(
    clean: CleanTables, dataset: DatasetConfig, config: ValidationConfig
) -> "DataFrame":
    """One row per split: what the suite of splits looks at."""
    from pandas import DataFrame

    rows = []
    for split in clean.splits:
        judged = clean.judgements[clean.judgements["split"] == split]
        relevant = judged[judged["label"] > 0].groupby("query")["document"].agg(frozenset)
        trains = split == dataset.train_split
        rows.append(
            {
                "place": split,
                "split": split,
                "judgements": len(judged),
                "top_label": judged["label"].max() if len(judged) else None,
                "queries": len(relevant),
                "needed_queries": config.min_train_queries if trains else 0,
                "answers": relevant.nunique(),
                "needed_answers": 2 if trains and len(relevant) else 0,
                "can_be_wrong": not len(relevant) or relevant.map(len).min() < len(clean.corpus),
            }
        )
    return DataFrame(rows)


def needed_table(clean: CleanTables, dataset: DatasetConfig) -> "DataFrame":
    """One row per split that there must be: place, present, others."""
    from pandas import DataFrame

    needed = dict.fromkeys((dataset.train_split, dataset.dev_split))
    others = ", ".join(qrels_file(split) for split in clean.splits)
    rows = [(qrels_file(split), split in clean.splits, others) for split in needed]
    return DataFrame(rows, columns=["place", "present", "others"])


def needed_suite(dataset: DatasetConfig) -> list[Rule]:
    """Which splits there must be."""
    import great_expectations.expectations as gxe

    train, dev = dataset.train_split, dataset.dev_split
    return [
        Rule(
            "splits_present",
            f"There are qrels for {train} (training) and {dev} (choices).",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "present", "value_set": [True]},
            "there is no such file; there are {others}",
            level="set",
        ),
    ]


def split_set_suite(dataset: DatasetConfig, config: ValidationConfig) -> list[Rule]:
    """Rules for the splits as a whole."""
    import great_expectations.expectations as gxe

    train = dataset.train_split
    return [
        Rule(
            "splits_not_empty",
            "Every split has judgements after quarantine.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "judgements", "min_value": 1},
            "no judgement is left",
            level="set",
        ),
        Rule(
            "splits_have_relevant",
            "No split has label 0 only.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "top_label", "min_value": 1},
            "every label is 0",
            level="set",
        ),
        Rule(
            "enough_training_queries",
            f"At least {config.min_train_queries} queries of {train} have a relevant document.",
            gxe.ExpectColumnPairValuesAToBeGreaterThanB,
            {"column_A": "queries", "column_B": "needed_queries", "or_equal": True},
            "{queries} queries with a relevant document, needed are {needed_queries}",
            level="set",
        ),
        Rule(
            "training_answers_differ",
            f"Not all queries of {train} have the same relevant documents.",
            gxe.ExpectColumnPairValuesAToBeGreaterThanB,
            {"column_A": "answers", "column_B": "needed_answers", "or_equal": True},
            "all {queries} queries have the same relevant documents: there is nothing to learn",
            level="set",
        ),
        Rule(
            "rankings_can_be_wrong",
            "In every split some document is not relevant to some query.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "can_be_wrong", "value_set": [True]},
            "every document is relevant to every query, so that every ranking counts as right",
            level="set",
            severity="warning",
        ),
    ]


def file_table(rows: dict[str, int], quarantined: dict[str, int]) -> "DataFrame":
    """One row per file: place, rows, quarantined, share."""
    from pandas import DataFrame

    return DataFrame(
        [
            (file, count, quarantined[file], quarantined[file] / max(count, 1))
            for file, count in rows.items()
        ],
        columns=["place", "rows", "quarantined", "share"],
    )


def file_suite(config: ValidationConfig) -> list[Rule]:
    """How much of a file may be quarantined."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "quarantined_share",
            f"At most {config.max_quarantined_share:.1%} of any file is quarantined.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "share", "max_value": config.max_quarantined_share},
            "{quarantined} of {rows} rows quarantined ({share:.1%})",
            level="set",
        )
    ]


def reading_table(noted: Mapping[str, Noted]) -> "DataFrame":
    """One row per way of reading a file otherwise than it is written: place, said, times."""
    from pandas import DataFrame

    rows = [
        (file, f"{what} ({'once' if times == 1 else f'{times} times'})", times)
        for file, counts in noted.items()
        for what, times in sorted(counts.items())
    ]
    table = DataFrame(rows, columns=["file", "said", "times"])
    return table.assign(place=[f"{file}: {said}" for file, said, _ in rows])


def reading_suite() -> list[Rule]:
    """What was read although BEIR writes it otherwise: said, for whoever did not mean it."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "rows_written_as_beir",
            "Every row is written as BEIR's layout has it.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "times", "max_value": 0},
            "read as BEIR would have it",
            level="set",
            severity="warning",
        )
    ]


def feedback_suite(config: ValidationConfig) -> list[Rule]:
    """How much of the feedback may be quarantined before somebody should look at it."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "feedback_usable",
            f"At most {config.max_quarantined_share:.1%} of the feedback is quarantined.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "share", "max_value": config.max_quarantined_share},
            "{quarantined} of {rows} rows quarantined ({share:.1%})",
            level="set",
            severity="warning",
        )
    ]
