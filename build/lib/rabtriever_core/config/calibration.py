"""Settings of the probability that users see."""

from typing import Literal

from pydantic import Field

from rabtriever_core.config.component import Component, Shown


class CalibrationConfig(Component):
    """How margins become probabilities, and when nothing fits; fitted on dev."""

    method: Literal["platt", "temperature"] = "platt"
    """How margins become probabilities. `platt` fits slope and bias of σ(slope · margin + bias);
    `temperature` fits the slope alone, and so cannot correct margins that are all too high or too
    low."""
    documents_per_query: int = Field(10, ge=1)
    """How many of a query's best documents the probabilities are fitted and measured on."""
    precision: Shown[float] = Field(0.9, gt=0, lt=1)
    """Share of given answers that must be right on dev; otherwise "nothing fits"."""
    unanswerable_share: float = Field(0.5, ge=0, lt=1)
    """Share of queries without a right document that the threshold is chosen for. They are made
    from dev queries by taking their right documents out of the corpus."""
