"""An answer to a query, as text for a terminal."""

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rabtriever_core.index.hit import Hit
    from rabtriever_core.models.probability import Calibration


def hit_table(hits: "list[Hit]") -> str:
    """Rank, margin, probability and text of every hit, in as many columns as there are.

    The teacher's margin stands beside the student's where the teacher read one of the documents.
    """
    teacher = any(hit.teacher_margin is not None for hit in hits)
    words = any(hit.bm25 is not None for hit in hits)
    head = (
        f"rank    margin  {'   bm25  ' if words else ''}{'teacher  ' if teacher else ''}"
        "probability  document"
    )
    width = max(40, shutil.get_terminal_size().columns) - len(head) + len("document")
    lines = [head]
    for rank, hit in enumerate(hits, 1):
        shown = one_line(hit.title, hit.text, width)
        judged = f"{'' if hit.teacher_margin is None else format(hit.teacher_margin, '.3f'):>7}  "
        bm25 = f"{hit.bm25:>7.3f}  " if words else ""
        lines.append(
            f"{rank:>4}  {hit.margin:>8.3f}  {bm25}{judged if teacher else ''}"
            f"{hit.probability:>11.3f}  {shown}"
        )
    return "\n".join(lines)


def one_line(title: str, text: str, width: int) -> str:
    """A document in at most `width` characters."""
    whole = " ".join(f"{title}: {text}".removeprefix(": ").split())
    return whole if len(whole) <= width else f"{whole[: width - 1]}…"


def verdict_line(
    hits: "list[Hit]", calibration: "Calibration", min_probability: float | None
) -> str:
    """Whether anything fits, and what the probabilities are, in one line."""
    if hits[0].fits is None:
        return (
            f"probability: calibrated on dev; no threshold reached a precision of "
            f"{calibration.precision:.0%} there, so nothing is refused"
        )
    if min_probability is None:
        source = f"fitted on dev for {calibration.precision:.0%} right answers"
        least = f"{calibration.threshold:.3f}, {source}"
    else:
        least = f"{min_probability:.3f}, as asked for"
    if something_fits(hits):
        return f"probability: calibrated on dev; an answer needs {least}"
    best = max(hit.probability for hit in hits)
    return f"nothing here fits: the best has {best:.3f}, an answer needs {least}"


def something_fits(hits: "list[Hit]") -> bool:
    """Whether a hit reaches the threshold; any does where there is no threshold.

    Not always the first one: the teacher may have put another document there.
    """
    return any(hit.fits is not False for hit in hits)
