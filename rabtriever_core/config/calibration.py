"""Settings of the probability that users see."""

from typing import Literal

from pydantic import Field

from rabtriever_core.config.component import Component


class CalibrationConfig(Component):
    """The probability that users see, and when nothing fits; both fitted on dev."""

    method: Literal["platt", "temperature"] = "platt"
    """`platt` fits slope and bias of σ(slope · margin + bias); `temperature` the slope alone, which
    cannot repair margins that are all too high or too low."""
    documents_per_query: int = Field(10, ge=1)
    """Best documents of a query whose probabilities are fitted and measured: those users see."""
    precision: float = Field(0.9, gt=0, lt=1)
    """Share of right answers that the threshold for answering at all must reach on dev."""
    unanswerable_share: float = Field(0.5, ge=0, lt=1)
    """Share of queries without a right document that the threshold is prepared for. They are made
    from the dev queries: the right documents are taken out of the pool."""
