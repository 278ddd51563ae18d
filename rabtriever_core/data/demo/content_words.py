"""Which words carry content: the demo's queries share none of them with their right document."""

from __future__ import annotations

import re

import Stemmer

# Closed-class words only: they bind sentences together whatever the sentences are about. Anything
# that names a thing, a quality, an action or a number is content and stays out of this list.
FUNCTION_WORDS = frozenset(
    # articles, determiners and quantifiers
    "a an the this that these those some any each every all both no other such own "
    # pronouns
    "i me my mine myself you your yours he him his she her hers it its we us our ours they them "
    "their theirs one who whom whose which what someone somebody anyone anybody everyone everybody "
    "nobody something anything everything nothing everywhere anywhere somewhere "
    # auxiliaries and the stumps of "can't", "won't"
    "am is are was were be been being do does did have has had having will would shall should can "
    "could may might must ca wo "
    # prepositions and particles
    "of in on at by for with without from to into onto over under up down out off about after "
    "before between through against than as across behind around upon toward towards like "
    # conjunctions and question words
    "and or but nor so if because though although whether unless until since while when whenever "
    "where wherever why how then "
    # negation and adverbs of degree, time and place
    "not too very just only even also still again now here there ever never once whatever".split()
)

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_CONTRACTION = re.compile(r"(?:n't|'[^\W\d_]+)$")


def content_words(text: str) -> set[str]:
    """Return the stems of the text's content words."""
    stemmer = Stemmer.Stemmer("english")
    words = (_CONTRACTION.sub("", word) for word in _WORD.findall(text.lower().replace("’", "'")))
    return {stemmer.stemWord(word) for word in words if word not in FUNCTION_WORDS}
