"""Texts that were read apart, each alone, beside pairs that are read together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Apart:
    """Queries and documents that were read apart, for the cosine in a score."""

    e_q: "torch.Tensor"
    """[n, d]."""
    e_d: "torch.Tensor | None"
    """[m, d]; None where the backbone that reads the pairs gives them by the way."""

    def pairs(
        self,
        queries: Sequence[int],
        documents: Sequence[int],
        read: "Sequence[torch.Tensor]" = (),
        of_read: Sequence[int] = (),
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """e_Q and e_D of p pairs, [p, d] each.

        Args:
            queries: query of every pair.
            documents: document of every pair.
            read: what `pair_states` gave beside the pairs' states.
            of_read: row in it of every pair.
        """
        e_d = read[0][list(of_read)] if self.e_d is None else self.e_d[list(documents)]
        return self.e_q[list(queries)], e_d
