"""What other tools write otherwise than BEIR's layout has it, read where nothing has to be guessed.

Every such reading is counted, by what it was, so that the validation can say it. Where a row can be
read in two ways it is not read at all: the rules find a value missing, and quarantine the row.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

Noted = Counter[str]
"""What was read otherwise than it is written → how often."""

DOCUMENT_ID = ("_id", "id", "doc_id", "docid")
DOCUMENT_TEXT = ("text", "contents", "content", "passage")
QUERY_ID = ("_id", "id", "query_id", "qid")
QUERY_TEXT = ("text", "query")
"""Names of a field, BEIR's first."""

_LABEL = re.compile(r"([+-]?[0-9]{1,18})(\.0*)?", re.ASCII)
_HEADER = {"score", "label", "relevance", "relevancy", "rel", "judgement", "judgment", "grade"}
_TREC_ITERATION = {"0", "Q0"}


def stated(row: Mapping[str, Any], names: tuple[str, ...], noted: Noted) -> Any:
    """The value of a field by BEIR's name, else by the one other name that has a value.

    None where there is none, or where two other names have different ones.
    """
    if row.get(names[0]) is not None:
        return row[names[0]]
    others = {name: row[name] for name in names[1:] if row.get(name) is not None}
    values = list(others.values())
    if not values or any(value != values[0] for value in values):
        return None
    noted[f"{next(iter(others))} stands for {names[0]}"] += 1
    return values[0]


def id_text(value: object, noted: Noted, name: str = "_id") -> str:
    """An id; whole numbers as text. Empty where it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        noted[f"{name} is a whole number"] += 1
        return str(value)
    return value if isinstance(value, str) else ""


def label_text(text: str, noted: Noted) -> str:
    """A label as a whole number is written; what is none stays as it is."""
    found = _LABEL.fullmatch(text.strip())
    if not found:
        return text
    if found[2]:
        noted["scores are written as decimals, such as 1.0"] += 1
    return str(int(found[1]))


def is_header(columns: list[str]) -> bool:
    """Whether the first line of a qrels file names its columns."""
    return columns[-1].strip().casefold() in _HEADER


def qrels_columns(line: str, noted: Noted) -> list[str]:
    """The columns of a qrels line; three where it has the shape of a judgement.

    BEIR's are query, document and score, parted by tabs. TREC's have an iteration, 0, in second
    place, and may be parted by spaces.
    """
    columns = line.split("\t")
    four = columns if len(columns) > 1 else line.split()
    if len(four) == 4 and four[1].strip() in _TREC_ITERATION:
        noted["TREC's four columns"] += 1
        return [four[0], four[2], four[3]]
    return columns
