"""Rules about single rows: the suites of corpus, queries, judgements and splits.

Every suite comes with the function that adds the columns it looks at.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import ValidationConfig
from rabtriever_core.data import overlap
from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.ids import id_problem
from rabtriever_core.data.metadata import LONE_SURROGATE, metadata_problem
from rabtriever_core.data.raw import CORPUS, QUERIES
from rabtriever_core.data.rules import Rule

if TYPE_CHECKING:
    from pandas import DataFrame


def corpus_columns(corpus: "DataFrame") -> "DataFrame":
    """Add what the corpus suite looks at."""
    full = [f"{title} {text}" for title, text in zip(corpus["title"], corpus["text"], strict=True)]
    problems = [metadata_problem(value) for value in corpus["metadata"]]
    columns = _text_columns(corpus, full).assign(metadata_problem=problems)
    return columns.astype({"metadata_problem": object})


def corpus_suite(config: ValidationConfig) -> list[Rule]:
    """Rules for corpus.jsonl."""
    import great_expectations.expectations as gxe

    return [
        *_text_rules("document", "title and text", config.max_document_characters),
        Rule(
            "document_metadata",
            "Metadata are an object of strings, numbers, booleans, nulls, or lists of these.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "metadata_problem", "value_set": [""]},
            "metadata: {metadata_problem}",
        ),
    ]


def query_columns(queries: "DataFrame") -> "DataFrame":
    """Add what the queries suite looks at."""
    listed = [ids is not None for ids in queries["excluded"]]
    return _text_columns(queries, list(queries["text"])).assign(excluded_listed=listed)


def query_suite(config: ValidationConfig) -> list[Rule]:
    """Rules for queries.jsonl."""
    import great_expectations.expectations as gxe

    return [
        *_text_rules("query", "text", config.max_query_characters),
        Rule(
            "query_excluded_ids",
            "Documents that a query's ranking leaves out are a list of ids.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "excluded_listed", "value_set": [True]},
            "excluded_ids is no list of document ids",
        ),
    ]


def judgement_columns(
    judgements: "DataFrame",
    raw_ids: tuple["DataFrame", "DataFrame"],
    sound_ids: tuple["DataFrame", "DataFrame"],
) -> "DataFrame":
    """Add what the judgements suite looks at.

    Args:
        judgements: all rows of the qrels files.
        raw_ids: corpus and queries as read.
        sound_ids: corpus and queries without the quarantined rows.
    """
    places = zip(("document", "query"), (CORPUS, QUERIES), raw_ids, sound_ids, strict=True)
    added: dict[str, Any] = {}
    for column, file, raw, sound in places:
        state = dict.fromkeys(raw["id"], "is quarantined") | dict.fromkeys(sound["id"], "")
        added[f"{column}_problem"] = [
            state.get(id_, f"is not in {file}") for id_ in judgements[column]
        ]
    excluded = dict(zip(sound_ids[1]["id"], map(set, sound_ids[1]["excluded"]), strict=True))
    columns = (judgements[name] for name in ("query", "document", "label"))
    added["excluded"] = [
        label != "0" and document in excluded.get(query, ())
        for query, document, label in zip(*columns, strict=True)
    ]
    keys = zip(*(judgements[name] for name in ("split", "query", "document")), strict=True)
    return judgements.assign(**added, occurrence=_occurrences(keys)).astype(
        {"document_problem": object, "query_problem": object}
    )


def judgement_suite(config: ValidationConfig) -> list[Rule]:
    """Rules for single judgements, against what is left of corpus and queries."""
    import great_expectations.expectations as gxe

    labels = ", ".join(map(str, config.labels))
    return [
        Rule(
            "judgement_query_known",
            "Every judgement's query is in queries.jsonl and not quarantined.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "query_problem", "value_set": [""]},
            "dangling: query {query!r} {query_problem}",
        ),
        Rule(
            "judgement_document_known",
            "Every judgement's document is in corpus.jsonl and not quarantined.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "document_problem", "value_set": [""]},
            "dangling: document {document!r} {document_problem}",
        ),
        Rule(
            "judgement_label_allowed",
            f"Every label is one of {labels}.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "label", "value_set": [str(label) for label in config.labels]},
            f"label {{label!r}} is not one of {labels}",
        ),
        Rule(
            "judgement_unique",
            "A split judges a query and document once.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "occurrence", "value_set": [1]},
            "duplicate judgement: {split} judges {query!r} and {document!r} in an earlier row",
        ),
        Rule(
            "judgement_not_excluded",
            "No judgement calls a document right that its query's ranking leaves out.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "excluded", "value_set": [False]},
            "excluded_ids of query {query!r} has document {document!r}, which is judged right here",
        ),
    ]


def split_columns(judgements: "DataFrame", texts: dict[str, str], train: str) -> "DataFrame":
    """Add what the splits suite looks at.

    Args:
        judgements: rows that broke no rule so far.
        texts: query id → normalised text.
        train: name of the training split.
    """
    leaks = overlap.leaks(judgements, texts, train)
    # A leaking query leaves the training split anyway, so nothing there can repeat it.
    # (`loc`: a bare empty list would select no columns instead of no rows.)
    kept = judgements.loc[[not leak for leak in leaks]]
    repeated = overlap.repeats(kept, texts)
    keys = zip(judgements["split"], judgements["query"], strict=True)
    return judgements.assign(leak=leaks, repeats=[repeated.get(key, "") for key in keys]).astype(
        {"leak": object, "repeats": object}
    )


def split_suite(config: ValidationConfig) -> list[Rule]:
    """Rules for judgements of the same text, across splits and within one."""
    import great_expectations.expectations as gxe

    return [
        Rule(
            "training_query_not_evaluated",
            "No training query's text is judged in another split (leakage).",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "leak", "value_set": [""]},
            "leakage: same text as {leak}",
        ),
        Rule(
            "query_not_repeated",
            "No two queries of a split have the same text and the same labels.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "repeats", "value_set": [""]},
            "duplicate query: same text and labels as {repeats} in {split}",
            severity="error" if config.duplicate_queries == "quarantine" else "warning",
        ),
    ]


def _occurrences(keys: Iterable[Hashable]) -> list[int]:
    """Of every key which occurrence it is, from 1.

    Not by pandas, whose text type refuses half a surrogate pair, which a rule reports.
    """
    seen: Counter[Hashable] = Counter()
    numbers = []
    for key in keys:
        seen[key] += 1
        numbers.append(seen[key])
    return numbers


def _text_columns(table: "DataFrame", full: list[str]) -> "DataFrame":
    # Missing ids break their own rule; they are no duplicates of one another.
    counted = zip(table["id"], _occurrences(table["id"]), strict=True)
    occurrence = [number if id_ else 1 for id_, number in counted]
    both = zip(table["id"], full, strict=True)
    problems = [id_problem(id_) for id_ in table["id"]]
    return table.assign(
        occurrence=occurrence,
        characters=[len(text.strip()) for text in full],
        visible=[bool(normalised(text)) for text in full],
        unicode=[not LONE_SURROGATE.search(f"{id_}{text}") for id_, text in both],
        id_problem=problems,
    ).astype({"id_problem": object})


def _text_rules(kind: str, text: str, limit: int) -> list[Rule]:
    import great_expectations.expectations as gxe

    return [
        Rule(
            f"{kind}_has_id",
            "Every _id is a non-empty string.",
            gxe.ExpectColumnValueLengthsToBeBetween,
            {"column": "id", "min_value": 1},
            "no _id: it is missing, empty or not a string",
        ),
        Rule(
            f"{kind}_id_unique",
            "Every _id occurs once.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "occurrence", "value_set": [1]},
            "duplicate _id {id!r}: an earlier row has it",
        ),
        Rule(
            f"{kind}_id_writable",
            "Every _id can stand in qrels: no tab or line end is in it.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "id_problem", "value_set": [""]},
            "_id {id!r} {id_problem}",
        ),
        Rule(
            f"{kind}_has_text",
            f"Every {kind} has something in its {text}.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "visible", "value_set": [True]},
            f"empty: {text} missing, blank or not a string",
        ),
        Rule(
            f"{kind}_length",
            f"No {kind} has more than {limit} characters.",
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "characters", "max_value": limit},
            f"too long: {{characters}} characters, allowed are {limit}",
        ),
        Rule(
            f"{kind}_unicode",
            f"Every _id and {text} can be written as UTF-8.",
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "unicode", "value_set": [True]},
            "not valid Unicode: it holds half a surrogate pair",
        ),
    ]
