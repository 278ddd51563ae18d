"""Support in conversations: what was said so far, and the strategy of what is said next.

ESConv's dialogues and PsyQA's annotated answers become the task of RaHoRe and Rabtriever: the
strategies' names are the whole corpus.
"""

from collections.abc import Sequence
from typing import Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.data.importers.examples import Example, LeftOut, Source
from rabtriever_core.data.importers.tables import Table

TURNS = 5
"""So many turns before the next are the query."""


def is_esconv(table: Table) -> bool:
    """Whether the rows are dialogues whose supporters' turns name a strategy."""
    return all(isinstance(row.get("dialog"), list) for _, row in table.rows)


def is_psyqa(table: Table) -> bool:
    """Whether the rows are questions with annotated answers."""
    return all(
        "question" in row and isinstance(row.get("answers"), list) and _texts(row["answers"])
        for _, row in table.rows
    )


def read_esconv(table: Table) -> Source:
    """An example for every turn of a supporter that has a strategy and turns before it."""
    source = Source("ESConv: dialogues, and the supporter's next strategy")
    for place, row in table.rows:
        try:
            turns = [_turn(turn) for turn in row["dialog"]]
        except (KeyError, TypeError, AttributeError) as error:
            source.left_out.append(LeftOut(place, f"a turn has no speaker or content ({error!r})"))
            continue
        dialogue = "\n".join(text for text, _ in turns)
        for number, (_, strategy) in enumerate(turns):
            if not strategy:
                continue
            where = f"{place}, turn {number + 1}"
            if not number:
                source.left_out.append(LeftOut(where, "nothing was said before the first turn"))
                continue
            said = "\n".join(text for text, _ in turns[max(0, number - TURNS) : number])
            source.examples.append(
                Example(where, said, ((Document("", strategy), 1),), group=dialogue)
            )
    return source


def read_psyqa(table: Table) -> Source:
    """An example for every annotated part of an answer: the question and the answer so far."""
    source = Source("PsyQA: questions and answers so far, and the next strategy")
    for place, row in table.rows:
        asked = "\n".join(
            text for text in (_text(row.get("question")), _text(row.get("description"))) if text
        )
        for number, answer in enumerate(row["answers"], start=1):
            where = f"{place}, answer {number}"
            text, parts = str(answer["answer_text"]), answer.get("labels_sequence")
            if not parts:
                source.left_out.append(LeftOut(where, "its strategies are not annotated"))
            for part in parts or ():
                query = "\n".join(filter(None, (asked, text[: int(part["start"])].strip())))
                strategy = ((Document("", str(part["type"])), 1),)
                source.examples.append(Example(where, query, strategy, group=asked))
    return source


def _turn(turn: dict[str, Any]) -> tuple[str, str]:
    """What was said, by whom, and the strategy where a supporter said it."""
    strategy = _text(turn["annotation"].get("strategy"))
    if turn["speaker"] in ("seeker", "speaker"):
        return f"Seeker: {_text(turn['content'])}", ""
    who = f"Supporter [{strategy}]" if strategy else "Supporter"
    return f"{who}: {_text(turn['content'])}", strategy


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _texts(answers: Sequence[Any]) -> bool:
    return all(isinstance(answer, dict) and "answer_text" in answer for answer in answers)
