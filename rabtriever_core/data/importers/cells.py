"""What stands in a cell: a text, several, documents with ids, labels, times, metadata."""

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.data.layouts import DOCUMENT_ID, DOCUMENT_TEXT, id_text, label_text, stated

_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}.*")
_WORDS = {"true": "1", "false": "0", "yes": "1", "no": "0"}


def text_of(cell: Any) -> str:
    """A cell as text without white space around it; whole numbers as such. Empty for nothing."""
    if cell is None or cell != cell:  # not a number
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def items_of(cell: Any, *, as_text: bool) -> list[Any]:
    """What a cell holds, none, one or several; a list may be written as text in CSV and Excel."""
    if isinstance(cell, list | tuple):
        return [item for part in cell for item in items_of(part, as_text=False)]
    if isinstance(cell, Mapping):
        return [cell]
    text = text_of(cell)
    if as_text and text.startswith("[") and text.endswith("]"):
        return _written_list(text)
    return [text] if text else []


def document_of(item: Any) -> Document | None:
    """A document from a text, or from an object with id, title and text; None where it is none."""
    if not isinstance(item, Mapping):
        return Document("", text_of(item)) if text_of(item) else None
    noted: Counter[str] = Counter()
    text = stated(item, DOCUMENT_TEXT, noted)
    title = item.get("title") or ""
    if not isinstance(text, str) or not isinstance(title, str) or not (text + title).strip():
        return None
    return Document(id_text(stated(item, DOCUMENT_ID, noted), noted), text.strip(), title.strip())


def answers_of(cell: Any, *, as_text: bool) -> tuple[str, ...]:
    """Accepted answers: texts, or SQuAD's `{"text": […], …}`."""
    if isinstance(cell, Mapping):
        cell = cell.get("text")
    found = (text_of(item) for item in items_of(cell, as_text=as_text))
    return tuple(dict.fromkeys(answer for answer in found if answer))


def label_of(cell: Any) -> int | None:
    """A label as a whole number; None where it is none."""
    said = str(int(cell)) if isinstance(cell, bool) else text_of(cell)
    try:
        return int(label_text(_WORDS.get(said.casefold(), said), Counter()))
    except ValueError:
        return None


def time_of(cell: Any) -> datetime | float | None:
    """A point in time, or a number that orders; None for what is neither."""
    text = cell.isoformat() if isinstance(cell, date) else text_of(cell)
    try:
        return number if math.isfinite(number := float(text)) else None
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def is_other_date(cell: Any) -> bool:
    """Whether a text is a date whose order of day, month and year has to be guessed."""
    return bool(_DATE.fullmatch(text_of(cell))) and time_of(cell) is None


def metadata_of(cell: Any, *, numbers: bool) -> Any:
    """A value that metadata can hold.

    Args:
        cell: of any kind.
        numbers: whether its column holds numbers only, which may be written as text.
    """
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, list | tuple):
        return [metadata_of(item, numbers=False) for item in cell]
    if isinstance(cell, bool | int | float) or not numbers:
        return cell if isinstance(cell, bool | int | float) else text_of(cell)
    said = text_of(cell)
    return int(said) if re.fullmatch(r"-?\d+", said) else float(said)


def is_number(cell: Any) -> bool:
    """Whether a number is written as programs write it: `7`, `-2.5`, and not `007`."""
    return bool(re.fullmatch(r"-?(0|[1-9]\d{0,17})(\.\d+)?", text_of(cell)))


def parted(text: str) -> list[str]:
    """Ids that stand in one cell, parted by commas, semicolons, bars or white space."""
    return [part for part in re.split(r"[,;|\s]+", text) if part]


def _written_list(text: str) -> list[str]:
    """The texts of a list in JSON or Python; the text itself where it is no list of texts."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return [item.strip() for item in value if item.strip()]
    return [text]
