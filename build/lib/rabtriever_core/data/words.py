"""The words of a text, by the rules of its scripts: what BM25 and the checks for drift count."""

import re

import regex

from rabtriever_core.data.comparison import normalised

_UNSPACED = "".join(
    rf"\p{{scx={script}}}"
    for script in (
        *("Han", "Hiragana", "Katakana", "Bopomofo", "Hangul"),
        *("Thai", "Lao", "Khmer", "Myanmar"),
    )
)
"""Scripts that are written without spaces between words; Korean's spaces part phrases."""
# Combining marks belong to words: vowel signs of Hindi, accents that have no composed letter.
_RUNS = regex.compile(
    rf"([[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+)|([[{_UNSPACED}]&&[\p{{L}}\p{{M}}\p{{N}}]]+)",
    regex.VERSION1,
)
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
"""The same rule, faster, for most of English."""


def words(text: str, *, shortest: int = 1) -> list[str]:
    """The words of a text, normalised, in order.

    Letters, marks, digits and underscores make a word, of at least `shortest` characters. A script
    that is written without spaces gives overlapping pairs of characters (bigrams) instead, or its
    one character where it stands alone.
    """
    text = normalised(text)
    if text.isascii():
        return [word for word in _ASCII_WORD.findall(text) if len(word) >= shortest]
    found = []
    for word, characters in _RUNS.findall(text):
        if word:
            found += [word] if len(word) >= shortest else []
        else:
            pairs = [characters[at : at + 2] for at in range(len(characters) - 1)]
            found += pairs or [characters]
    return found
