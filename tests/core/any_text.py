"""Text of every kind: all of Unicode, lone surrogates too (bytes of a shell that are no UTF-8)."""

import sys

from hypothesis import strategies as st

any_text = st.text(st.characters(exclude_categories=()))


def all_of_unicode(size: int = 8192) -> list[str]:
    """Every character there is, in texts of this size."""
    last = sys.maxunicode + 1
    return [
        "".join(map(chr, range(start, min(start + size, last)))) for start in range(0, last, size)
    ]
