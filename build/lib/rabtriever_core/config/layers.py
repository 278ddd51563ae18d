"""How a setting says which layers of a pretrained model are kept."""

from typing import Annotated

from annotated_types import Ge
from pydantic import AfterValidator


def _ascending(layers: tuple[int, ...]) -> tuple[int, ...]:
    if not layers or list(layers) != sorted(set(layers)):
        raise ValueError("name at least one layer, none twice, in the order of the model")
    return layers


Layers = (
    Annotated[int, Ge(1)] | Annotated[tuple[Annotated[int, Ge(0)], ...], AfterValidator(_ascending)]
)
"""How many, the first ones; or which, counted from 0."""
