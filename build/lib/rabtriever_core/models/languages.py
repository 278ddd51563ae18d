"""What a language adds to words: endings that do not matter, and words that say nothing.

Both come from libraries, Snowball's stemmers and the stop words of bm25s.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain, islice

from rabtriever_core.data.comparison import normalised

_SNOWBALL = {
    "da": ("danish", "DANISH"),
    "de": ("german", "GERMAN"),
    "en": ("english", "EN"),
    "es": ("spanish", "SPANISH"),
    "fr": ("french", "FRENCH"),
    "it": ("italian", "ITALIAN"),
    "nl": ("dutch", "DUTCH"),
    "no": ("norwegian", "NORWEGIAN"),
    "pt": ("portuguese", "PORTUGUESE"),
    "ru": ("russian", "RUSSIAN"),
    "sv": ("swedish", "SWEDISH"),
    "tr": ("turkish", "TURKISH"),
}
"""Language → Snowball's stemmer, bm25s' list of stop words."""
_READ = 200_000
"""Running words that a language is told by."""
_STOP_SHARE = 0.1
"""Of them; far below what any text in sentences has, far above what another language shares."""


def detected(texts: Iterable[list[str]]) -> str:
    """The language whose stop words are most frequent in texts (as words); `none` where few are."""
    counts = Counter(islice(chain.from_iterable(texts), _READ))
    total = counts.total()
    found = {language: sum(counts[word] for word in stop_words(language)) for language in _SNOWBALL}
    best = max(found, key=found.__getitem__)
    return best if total and found[best] >= _STOP_SHARE * total else "none"


def stop_words(language: str) -> frozenset[str]:
    """Words of a language that say nothing about what a text is about."""
    from bm25s import stopwords

    if language not in _SNOWBALL:
        return frozenset()
    listed = getattr(stopwords, f"STOPWORDS_{_SNOWBALL[language][1]}")
    return frozenset(map(normalised, listed))


def stemmer(language: str) -> Callable[[list[str]], list[str]]:
    """Takes the endings off words of a language; without a language, it leaves them."""
    import Stemmer

    if language not in _SNOWBALL:
        return list
    stem: Callable[[list[str]], list[str]] = Stemmer.Stemmer(_SNOWBALL[language][0]).stemWords
    return stem
