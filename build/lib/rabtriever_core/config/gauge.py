"""Settings of the coordinates that vectors are stored in."""

from typing import Literal

from pydantic import Field, model_validator

from rabtriever_core.config.component import Component

GaugeMethod = Literal["none", "center", "pca", "whiten", "balanced"]
_ORDERED = ("pca", "whiten", "balanced")


class GaugeConfig(Component):
    """The coordinates that vectors are stored in: same margins, a better or smaller index."""

    method: GaugeMethod = "none"
    """How vectors are transformed before they are stored. `none` stores the model's own; `center`
    subtracts the corpus mean; `pca` and `whiten` follow the documents alone; `balanced` also looks
    at training queries and puts the dimensions first that carry most of their margins, so that
    dropping the last ones loses least."""
    dimensions: int | None = Field(None, ge=2)
    """Length of the stored vectors: the leading dimensions of pca, whiten or balanced. All of them
    when null. With fewer, the ranking is no longer exactly the student's; the report shows the loss
    as truncation_recall@10."""
    equal_norms: bool = True
    """Add a dimension that gives all documents the same norm; it is zero in queries. Without it, a
    graph of centred vectors leads to the few long ones. `none` does not use it."""
    spread: bool = False
    """Rotate the kept dimensions at random so that they carry equally much. This helps
    quantization, which has one step size for all of them."""
    fit_queries: int = Field(4096, ge=1)
    """How many training queries `balanced` is fitted on, a fixed sample."""

    @model_validator(mode="after")
    def _ordered(self) -> "GaugeConfig":
        if self.dimensions is not None and self.method not in _ORDERED:
            raise ValueError(
                f"dimensions = {self.dimensions} needs a method that orders them "
                f"({', '.join(_ORDERED)}), not {self.method}"
            )
        return self
