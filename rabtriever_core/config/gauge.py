"""Settings of the coordinates that vectors are stored in."""

from typing import Literal

from pydantic import Field, model_validator

from rabtriever_core.config.component import Component

GaugeMethod = Literal["none", "center", "pca", "whiten", "balanced"]
_ORDERED = ("pca", "whiten", "balanced")


class GaugeConfig(Component):
    """Coordinates that vectors are stored in: same margins, a better or smaller index."""

    method: GaugeMethod = "none"
    """`none` stores the model's vectors; `center` subtracts the corpus' mean; `pca` and `whiten`
    follow the documents alone; `balanced` puts first what carries most of the margins of training
    queries, so that it loses least when dimensions are dropped."""
    dimensions: int | None = Field(None, ge=2)
    """Length of the stored vectors: the leading dimensions of pca, whiten or balanced; all when
    unset. Fewer no longer rank exactly as the student: the loss is reported as
    truncation_recall@10."""
    equal_norms: bool = True
    """Add a dimension, zero in queries, that gives documents equal norms: without it a graph of
    centred vectors leads to a few long ones. Not used by `none`."""
    spread: bool = False
    """Rotate the kept dimensions at random, so that all carry alike: for quantization, which has
    one step size for all of them."""
    fit_queries: int = Field(4096, ge=1)
    """Training queries that `balanced` is fitted on, a fixed sample."""

    @model_validator(mode="after")
    def _ordered(self) -> "GaugeConfig":
        if self.dimensions is not None and self.method not in _ORDERED:
            raise ValueError(
                f"dimensions = {self.dimensions} needs a method that orders them "
                f"({', '.join(_ORDERED)}), not {self.method}"
            )
        return self
