"""Which column is what: as it was said, else by the names that people and data sets use."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rabtriever_core.data.importers.cells import label_of, text_of
from rabtriever_core.data.importers.splits import is_split_name
from rabtriever_core.data.importers.tables import Table
from rabtriever_core.errors import DatasetError

# The first that is there is taken. anchor, positive, negative and sentence1 are
# sentence-transformers' names, query, pos, neg FlagEmbedding's, *_passages Tevatron's.
_QUERY = (
    *("query", "question", "anchor", "sentence1", "sentence_1", "text1", "search", "request"),
    *("user_query", "query_text", "question_text", "utterance", "input", "instruction", "prompt"),
)
_POSITIVE = (
    *(
        "positive",
        "positives",
        "pos",
        "positive_passages",
        "positive_ctxs",
        "document",
        "documents",
    ),
    *("passage", "context", "article", "answer", "response", "sentence2", "sentence_2", "text2"),
    *("reply", "doc", "doc_text", "document_text", "passage_text", "article_text", "output"),
    *("completion", "text"),
)
_NEGATIVE = (
    *("negative", "negatives", "neg", "negative_passages", "hard_negative", "hard_negatives"),
    *("hard_negative_ctxs", "negative_ctxs"),
)
_DOCUMENT_ID = (
    *("document_id", "doc_id", "docid", "corpus_id", "passage_id", "pid", "article_id"),
    *("answer_id", "positive_id"),
)
_QUERY_ID = ("query_id", "qid", "question_id")
_TITLE = ("title", "document_title", "doc_title", "article_title", "passage_title", "headline")
_LABEL = ("label", "relevance", "relevant", "relevancy", "judgement", "judgment", "grade", "score")
_ANSWERS = ("answers", "accepted_answers")
_CORPUS_TEXT = ("text", "contents", "content", "body", *_POSITIVE, "description")
_NUMBERED = re.compile(r"(?:hard_)?neg(?:ative)?s?_\d+")


@dataclass(frozen=True)
class Said:
    """Names of columns that the user gave; what is empty is guessed."""

    query: str = ""
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    id: str = ""
    title: str = ""
    label: str = ""
    answers: str = ""
    metadata: tuple[str, ...] = ()
    split_by: str = ""


@dataclass(frozen=True)
class Roles:
    """What each column is; empty where there is none."""

    query: str
    positive: tuple[str, ...]
    negative: tuple[str, ...] = ()
    id: str = ""
    query_id: str = ""
    title: str = ""
    label: str = ""
    answers: str = ""
    split: str = ""
    split_by: str = ""
    metadata: tuple[str, ...] = ()

    def in_words(self, columns: Iterable[str]) -> list[str]:
        """What was taken for what, and what is not used."""
        named = {
            "queries": (self.query,),
            "right documents": () if self.label else self.positive,
            "documents": self.positive if self.label else (),
            "wrong documents": self.negative,
            "labels": (self.label,),
            "ids of documents": (self.id,),
            "ids of queries": (self.query_id,),
            "titles": (self.title,),
            "answers": (self.answers,),
            "splits": (self.split,),
            "metadata": self.metadata,
        }
        used = {name: [one for one in ones if one] for name, ones in named.items()}
        lines = [
            f"{name}: column {', '.join(map(repr, ones))}" for name, ones in used.items() if ones
        ]
        taken = {one for ones in used.values() for one in ones} | {self.split_by}
        if unused := [name for name in columns if name not in taken]:
            lines.append(f"not used: {', '.join(map(repr, unused))}")
        return lines


def roles_of(tables: Sequence[Table], said: Said, *, corpus: bool) -> Roles:
    """What the columns of a table of queries are.

    Args:
        tables: with the same columns.
        said: by the user; a column that a table does not have is an error.
        corpus: whether documents are in a file of their own, so that the table has their ids.

    Raises:
        DatasetError: a named column is not there, or queries or documents cannot be told.
    """
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    place = tables[0].name
    chosen = [said.query, *said.positive, *said.negative, said.label, said.answers, said.split_by]
    chosen += [] if corpus else [said.id, said.title, *said.metadata]
    _check(chosen, columns, place)
    free = [name for name in columns if name not in chosen and name not in said.metadata]
    query = said.query or _first(_QUERY, free)
    free = [name for name in free if name != query]
    names = (*_DOCUMENT_ID, *_POSITIVE) if corpus else _POSITIVE
    positive = said.positive or tuple(filter(None, [_first(names, free)]))
    if not query or not (positive or said.negative):
        lacking = {"--query": ("queries", query), "--positive": ("right documents", positive)}
        unknown = {option: what for option, (what, found) in lacking.items() if not found}
        raise DatasetError(
            f"{place}: cannot tell which column holds {' and which '.join(unknown.values())}; "
            f"there are {', '.join(map(repr, columns))}. Say it with {' and '.join(unknown)}"
        )
    free = [name for name in free if name not in positive]
    numbered = [name for name in free if _NUMBERED.fullmatch(_plain(name))]
    guessed = tuple(dict.fromkeys(filter(None, [_first(_NEGATIVE, free), *numbered])))
    return Roles(
        query=query,
        positive=positive,
        negative=said.negative or guessed,
        id="" if corpus else said.id or _first(_DOCUMENT_ID, free),
        query_id=_first(_QUERY_ID, free),
        title="" if corpus else said.title or _first(_TITLE, free),
        label=said.label or _labels(tables, free),
        answers=said.answers or _first(_ANSWERS, free),
        split=_splits(tables, free),
        split_by=said.split_by,
        metadata=() if corpus else said.metadata,
    )


def corpus_roles(table: Table, said: Said) -> Roles:
    """What the columns of a table of documents are; `positive` is their text.

    Raises:
        DatasetError: a named column is not there, or ids or texts cannot be told.
    """
    columns = table.columns
    _check([said.id, said.title, *said.metadata], columns, table.name)
    free = [name for name in columns if name not in (said.id, said.title, *said.metadata)]
    id_ = said.id or _first(("_id", "id", *_DOCUMENT_ID), free)
    title = said.title or _first(_TITLE, free)
    text = _first(_CORPUS_TEXT, [name for name in free if name not in (id_, title)])
    if not id_ or not text:
        lacking = "the ids (--id names it)" if not id_ else "the texts (call it text)"
        raise DatasetError(
            f"{table.name}: cannot tell which column holds {lacking}; there are "
            f"{', '.join(map(repr, columns))}"
        )
    return Roles("", (text,), id=id_, title=title, metadata=said.metadata)


def _check(names: Iterable[str], columns: Sequence[str], place: str) -> None:
    for name in names:
        if name and name not in columns:
            raise DatasetError(
                f"{place} has no column {name!r}; it has {', '.join(map(repr, columns))}"
            )


def _labels(tables: Sequence[Table], free: Sequence[str]) -> str:
    """A column of labels; scores of similarity have other values."""
    name = _first(_LABEL, free)
    if _plain(name) == "score" and not _all(tables, name, lambda cell: label_of(cell) is not None):
        return ""
    return name


def _splits(tables: Sequence[Table], free: Sequence[str]) -> str:
    name = _first(("split",), free)
    return name if name and _all(tables, name, lambda cell: is_split_name(text_of(cell))) else ""


def _all(tables: Sequence[Table], name: str, holds: Callable[[Any], bool]) -> bool:
    return all(holds(row.get(name)) for table in tables for _, row in table.rows)


def _first(names: Sequence[str], columns: Sequence[str]) -> str:
    """The column whose name comes first among these names."""
    plain = {_plain(column): column for column in reversed(columns)}
    return next((plain[name] for name in names if name in plain), "")


def _plain(name: str) -> str:
    return "_id" if name == "_id" else re.sub(r"\W+|_+", "_", name.casefold()).strip("_")
