"""The words of a text, by the rules of its scripts: what BM25 and the checks for drift count."""

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
    rf"(?P<unspaced>[[{_UNSPACED}]&&[\p{{L}}\p{{M}}\p{{N}}]]+)"
    rf"|[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]+",
    regex.VERSION1,
)


def words(text: str, *, shortest: int = 1) -> list[str]:
    """The words of a text, normalised, in order.

    Letters, marks, digits and underscores make a word, of at least `shortest` characters. A script
    that is written without spaces gives overlapping pairs of characters (bigrams) instead, or its
    one character where it stands alone.
    """
    found = []
    for run in _RUNS.finditer(normalised(text)):
        characters = run[0]
        if run["unspaced"]:
            pairs = [characters[at : at + 2] for at in range(len(characters) - 1)]
            found += pairs or [characters]
        elif len(characters) >= shortest:
            found.append(characters)
    return found
