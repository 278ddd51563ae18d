"""Texts as they are compared: the one form in which two that a reader takes for the same are equal.

Used wherever texts are compared: leakage and duplicates, feedback on a known query, and versions of
the data. The words that BM25 and drift count are taken from it, too (`data.words`).
"""

import unicodedata

import regex

# Zero-width characters, byte order marks, soft hyphens, variation selectors: nobody sees them.
_UNSEEN = regex.compile(r"\p{Default_Ignorable_Code_Point}+")


def normalised(text: str) -> str:
    """The text without differences that no reader sees, or that only typing makes.

    Composed and decomposed letters, full and half width, ligatures (all of Unicode's NFKC), case,
    white space, and characters that are not shown. The result's own normalised form is itself.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    form = unicodedata.normalize("NFKD", text)
    while True:
        seen = _UNSEEN.sub("", form).casefold()
        folded = " ".join(unicodedata.normalize("NFKC", seen).split())
        if folded == form:
            return folded
        form = folded  # rarely: folding made a letter that composes, or is folded, anew
