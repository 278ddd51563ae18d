"""Weights between those a stage starts from and those it ends with (WiSE-FT, arXiv 2109.01903)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class AveragedWithStart:
    """A model whose weights can be moved between those after its training and those before.

    Args:
        trained: the model after training; its weights are moved in place.
        start: the same model before training; it is not changed.
    """

    def __init__(self, trained: "torch.nn.Module", start: "torch.nn.Module") -> None:
        # Tied weights are listed once, and so averaged once.
        self._weights = dict(trained.named_parameters())
        self._after = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._before = dict(start.named_parameters())

    def move(self, share_of_start: float) -> None:
        """Set the weights to a share of the way back: 0 is what was trained, 1 the start."""
        import torch

        with torch.no_grad():
            for name, weight in self._weights.items():
                before = self._before[name].to(weight.device).float()
                weight.copy_(torch.lerp(self._after[name].float(), before, share_of_start))
