"""Ids that every file can hold: qrels and rankings are lines with tabs between their columns."""

import re

from rabtriever_core.data.metadata import LONE_SURROGATE

# All that Python or an editor takes for the end of a line, not only what ends one in our own files:
# other tools read them, too.
_SEPARATORS = re.compile("[\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")


def id_problem(id_: str) -> str:
    """Why an id cannot be written to qrels, in words; empty where it can."""
    if found := _SEPARATORS.search(id_):
        character = found[0]
        name = "a tab" if character == "\t" else f"a line end (U+{ord(character):04X})"
        return f"holds {name}, which parts columns or lines of qrels"
    if LONE_SURROGATE.search(id_):
        return "holds half a surrogate pair, which has no UTF-8"
    return ""
