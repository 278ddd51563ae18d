"""Which words carry content: the demo's queries share none of them with their right document."""

from __future__ import annotations

import re

import Stemmer

from rabtriever_core.data.words import words

# Closed-class words only: they bind sentences together whatever the sentences are about. Anything
# that names a thing, a quality, an action or a number is content and stays out of this list.
_CLOSED_CLASSES = {
    "determiners": "a an the this that these those some any each every all both no other such own",
    "personal pronouns": "i me my mine myself you your yours he him his she her hers it its we us "
    "our ours they them their theirs one",
    "indefinite pronouns": "someone somebody something somewhere anyone anybody anything anywhere "
    "everyone everybody everything everywhere nobody nothing whatever",
    "question words": "who whom whose which what when whenever where wherever why how",
    "auxiliaries, with the stumps of can't and won't": "am is are was were be been being do does "
    "did have has had having will would shall should can could may might must ca wo",
    "prepositions and particles": "of in on at by for with without from to into onto over under up "
    "down out off about after before between through against than as across behind around upon "
    "toward towards like",
    "conjunctions": "and or but nor so if because though although whether unless until since while",
    "negation, degree, time and place": "not too very just only even also still again then now "
    "here there ever never once",
}
FUNCTION_WORDS = frozenset(word for words in _CLOSED_CLASSES.values() for word in words.split())

_CONTRACTION = re.compile(r"(?:n't|'[^\W\d_]+)\b")


def content_words(text: str) -> set[str]:
    """Return the stems of the text's content words."""
    stemmer = Stemmer.Stemmer("english")
    found = words(_CONTRACTION.sub("", text.lower()))
    return {stemmer.stemWord(word) for word in found if word not in FUNCTION_WORDS}
