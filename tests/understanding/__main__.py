"""Does the demo's release understand people: `python -m tests.understanding WORKSPACE`.

Asks the served release sentences that people would say (sentences.yaml), prints what it answers,
and ends with 1 where fewer are understood than a release of the default settings must.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rabtriever_core import Retriever
from rabtriever_core.evaluation.calibration import calibration_error, reliability

SENTENCES = Path(__file__).with_name("sentences.yaml")
RIGHT_KIND, RIGHT_ANSWERS, WRONG_ANSWERS = 0.88, 0.75, 0.06
"""Share of people's sentences: right kind first at least, answered and of the right kind at least,
answered and of another kind at most."""


@dataclass(frozen=True)
class Asked:
    """A sentence, and the best document of a release."""

    say: str
    right: bool
    """The document is of the kind that the sentence needs."""
    fits: bool
    probability: float
    title: str


def sentences(*sections: str) -> list[dict[str, Any]]:
    """The sentences of some sections of the file."""
    every = yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))
    return [row for section in sections for row in every[section]]


def ask(retriever: Retriever, rows: Sequence[dict[str, Any]]) -> list[Asked]:
    """Ask for the best document of every sentence."""
    found = []
    for row in rows:
        hit = retriever.search(row["say"], k=1)[0]
        right = row["kind"] is not None and row["kind"] in hit.title
        right &= row.get("how", "") in hit.title
        found.append(Asked(row["say"], right, bool(hit.fits), hit.probability or 0.0, hit.title))
    return found


def main(root: Path) -> int:
    """Ask everything; 1 where too little is understood."""
    with Retriever.open(root) as retriever:
        people = ask(retriever, sentences("support", "robot"))
        rows = sentences("printed")
        printed = ask(retriever, rows)
    for each in [*people, *printed]:
        word = "right" if each.right else "other"
        print(f"{word} {'fits' if each.fits else '   -'} {each.probability:5.3f}  {each.say}")
        print(f"{'':18}{each.title}")
    count = len(people)
    kind = sum(each.right for each in people) / count
    right = sum(each.right and each.fits for each in people) / count
    wrong = sum(each.fits and not each.right for each in people) / count
    print(f"\n{count} sentences of people: {kind:.1%} right kind first (at least {RIGHT_KIND:.0%})")
    print(f"answered and right {right:.1%} (at least {RIGHT_ANSWERS:.0%}), ", end="")
    print(f"answered and wrong {wrong:.1%} (at most {WRONG_ANSWERS:.0%})")
    found = np.array([each.probability for each in people])
    bins = reliability(found, np.array([each.right for each in people]))
    print("expected calibration error of their first document's probability: ", end="")
    print(f"{calibration_error(bins):.3f}")
    missed = [
        each.say
        for row, each in zip(rows, printed, strict=True)
        if each.fits != (row["kind"] is not None) or (row["kind"] is not None and not each.right)
    ]
    print(f"printed in the documents and answered wrongly: {missed or 'none'}")
    reached = kind >= RIGHT_KIND and right >= RIGHT_ANSWERS and wrong <= WRONG_ANSWERS
    return 0 if reached and not missed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
