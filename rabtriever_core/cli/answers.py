"""An answer to a query, as text for a terminal."""

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rabtriever_core.index.search import Hit
    from rabtriever_core.models.calibration import Calibration


def hit_table(hits: "list[Hit]") -> str:
    """Rank, margin, probability and text of every hit, in as many columns as there are."""
    width = max(40, shutil.get_terminal_size().columns) - 29
    lines = ["rank    margin  probability  document"]
    for rank, hit in enumerate(hits, 1):
        text = " ".join(f"{hit.title}: {hit.text}".removeprefix(": ").split())
        shown = text if len(text) <= width else f"{text[: width - 1]}…"
        lines.append(f"{rank:>4}  {hit.margin:>8.3f}  {hit.probability:>11.3f}  {shown}")
    return "\n".join(lines)


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
    if hits[0].fits:
        return f"probability: calibrated on dev; an answer needs {least}"
    return f"nothing here fits: the best has {hits[0].probability:.3f}, an answer needs {least}"
