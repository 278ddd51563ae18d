"""What the frameworks are told of a hit besides its text."""

from typing import Any

from rabtriever_core.index.hit import Hit
from rabtriever_core.serving.answers import Answer

TOLD = ("document_id", "title", "margin", "probability", "fits", "release", "teacher_margin")
"""What is told beside the document's own metadata, whose fields of these names give way."""


def metadata(hit: Hit, answer: Answer) -> dict[str, Any]:
    """The document's own metadata, and how it came to be found; JSON can say all of it."""
    told = {
        "document_id": hit.document_id,
        "title": hit.title,
        "margin": hit.margin,
        "probability": hit.probability,
        "fits": hit.fits,
        "release": answer.release.id,
    }
    if hit.teacher_margin is not None:
        told["teacher_margin"] = hit.teacher_margin
    return {**hit.metadata, **told}


def wanted(answer: Answer, *, only_fitting: bool) -> list[Hit]:
    """All hits, or those that fit; where there is no threshold, none can be said not to."""
    return [hit for hit in answer if not only_fitting or hit.fits is not False]
